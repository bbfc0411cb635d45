// SPDX-License-Identifier: Apache-2.0
import java.util.ArrayList;

public class Grow {
    public static void main(String[] arguments) {
        ArrayList<byte[]> kept = new ArrayList<>();
        for (;;)
            kept.add(new byte[1 << 16]);
    }
}
