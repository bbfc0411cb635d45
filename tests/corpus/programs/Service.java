// SPDX-License-Identifier: Apache-2.0
// A small HTTP service whose memory behaves as SHAPE says: the Java programs of the corpus.
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

public final class Service {
    private static final int SIZE = parameter("SIZE", 65536);
    private static final int COUNT = parameter("COUNT", 256);
    private static final AtomicLong number = new AtomicLong();

    private static int parameter(String name, int fallback) {
        String text = System.getenv(name);
        return text == null || text.isEmpty() ? fallback : Integer.parseInt(text);
    }

    /** Work that leaves only garbage behind. */
    private static int garbage(int bytes) {
        List<long[]> list = new ArrayList<>();
        for (int i = 0; i < bytes / 1024; i++)
            list.add(new long[126]);
        return list.size();
    }

    /** A map that is only ever added to. */
    private static LongConsumer map() {
        Map<String, byte[]> map = new HashMap<>();
        return n -> {
            garbage(131072);
            map.put("order-" + n, new byte[SIZE]);
        };
    }

    /** A class loader for each request, kept by a listener: metaspace. */
    private static LongConsumer loaders() throws IOException {
        byte[] code;
        try (InputStream in = Service.class.getResourceAsStream("Service$Plugin.class")) {
            code = in.readAllBytes();
        }
        List<Object> plugins = new ArrayList<>();
        return n -> {
            try {
                for (int i = 0; i < COUNT; i++)
                    plugins.add(new PluginLoader(code).plugin());
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(e);
            }
        };
    }

    public static final class Plugin implements Runnable {
        @Override
        public void run() {
        }
    }

    private static final class PluginLoader extends ClassLoader {
        private final byte[] code;

        PluginLoader(byte[] code) {
            super(null);
            this.code = code;
        }

        Object plugin() throws ReflectiveOperationException {
            return defineClass("Service$Plugin", code, 0, code.length).getDeclaredConstructor().newInstance();
        }
    }

    /** Direct buffers that are never let go: outside of the heap. */
    private static LongConsumer direct() {
        List<ByteBuffer> buffers = new ArrayList<>();
        return n -> buffers.add(ByteBuffer.allocateDirect(SIZE).put(0, (byte) 1));
    }

    /** A queue whose consumer waits for a lock that is never released. */
    private static LongConsumer queue() {
        LinkedBlockingQueue<byte[]> queue = new LinkedBlockingQueue<>();
        Object lock = new Object();
        Thread holder = new Thread(() -> {
            synchronized (lock) {
                try {
                    Thread.sleep(Long.MAX_VALUE);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
        });
        holder.setDaemon(true);
        holder.start();
        return n -> queue.add(new byte[SIZE]);
    }

    /** A cache with a bound. */
    private static LongConsumer lru() {
        Map<Long, byte[]> cache = new LinkedHashMap<>(16, 0.75f, true) {
            @Override
            protected boolean removeEldestEntry(Map.Entry<Long, byte[]> eldest) {
                return size() > COUNT;
            }
        };
        return n -> cache.computeIfAbsent(n * 7919 % parameter("KEYS", 1000), key -> new byte[SIZE]);
    }

    /** Waits until `bytes` are filled in, then serves: a table that is needed at start. */
    private static LongConsumer table() throws InterruptedException {
        List<byte[]> rows = new ArrayList<>();
        for (int i = 0; i < 64; i++) {
            rows.add(new byte[SIZE / 64]);
            Thread.sleep(15);
        }
        return n -> garbage(65536 + rows.size());
    }

    private static LongConsumer shape(String name) throws Exception {
        switch (name) {
        case "java-map":
            return map();
        case "java-class-loaders":
            return loaders();
        case "java-direct":
            return direct();
        case "java-queue":
            return queue();
        case "java-lru":
            return lru();
        case "java-table-over":
            return table();
        case "java-heap":      // the heap grows up to -Xmx, and stays
        case "java-heap-over": // the same, and -Xmx is more than the container has
        case "java-warm-up":
            return n -> garbage(SIZE);
        default:
            throw new IllegalArgumentException("SHAPE=" + name);
        }
    }

    public static void main(String[] arguments) throws Exception {
        LongConsumer serve = shape(System.getenv("SHAPE"));
        HttpServer server = HttpServer.create(new InetSocketAddress(parameter("PORT", 8080)), 256);
        server.setExecutor(Executors.newFixedThreadPool(2));
        server.createContext("/", exchange -> {
            String path = exchange.getRequestURI().getPath();
            if (path.equals("/collect")) {
                System.gc();
            } else if (!path.equals("/health")) {
                synchronized (number) {
                    serve.accept(number.incrementAndGet());
                }
            }
            exchange.sendResponseHeaders(200, 3);
            exchange.getResponseBody().write("ok\n".getBytes());
            exchange.close();
        });
        server.start();
    }
}
