# SPDX-License-Identifier: Apache-2.0
"""The table: who ended a process. A row is a real program, what is done to it, and the truth."""

from dataclasses import dataclass, field

LEVELS = ["Not Proven", "Inferred", "Strongly Suggested", "Correlated", "Observed", "Measured"]

OWN, ANCESTOR = "oom-container-limit", "oom-ancestor-limit"
PLATFORM, OUTSIDE = "killed-by-platform", "killed-externally"
EXITED, SIGNALLED, RUNTIME = "exited", "signalled", "runtime-out-of-memory"
USERSPACE, HOST = "oom-userspace-killer", "oom-host"


@dataclass(frozen=True)
class Row:
    name: str
    cause: str
    program: str = ""  # of programs.py
    command: tuple[str, ...] = ()  # instead: another runtime's, "{row}" is the row's directory
    exit_code: tuple[int, ...] = (137,)
    child: bool | None = False  # the event oom-child; None: either may be
    v1: str = "Observed"  # the level at least
    v2: str = "Measured"
    act: str = ""  # what the runner does at the meeting: Actions.<act>
    options: tuple[str, ...] = ()  # of oomlab run
    memory: str = "32Mi"
    place: str = ""  # "ancestor": inside a smaller cgroup
    log: str = ""  # "burnt": its budget is used up, "unreadable"
    versions: tuple[int, ...] = (1, 2)
    proof: str = ""  # stands in one of the proofs of the end
    expect: dict = field(default_factory=dict)  # further fields of lifetimes[0].end
    needs: str = ""  # a program that must be installed
    slow: bool = False  # too much for User Mode Linux
    guest: bool = False  # endangers the machine: only on one of the tests' own
    journal: bool = False  # only under systemd
    stopped: bool = False  # oomlab ends by the runner's SIGINT


STOP = ("--cooldown", "3s")
NODE = "const kept = []; for (;;) kept.push(new Array(10000).fill(Math.random()));"

ROWS = [
    Row("own-limit", OWN, "own_limit"),
    Row("own-limit-children-live", OWN, "with_children"),
    Row("own-limit-before-ready", OWN, "own_limit", options=("--ready", "tcp")),
    # As Kubernetes before 1.28 and every v1 host: the kernel kills one process only.
    Row("own-limit-no-group", OWN, "met_then_grow", act="no_group"),
    Row("own-limit-children-live-no-group", OWN, "met_with_children", act="no_group"),
    Row("many-kills-no-group", OWN, "met_many_kills", act="no_group", child=None),
    Row("ancestor-limit", ANCESTOR, "met_then_grow", act="squeeze", place="ancestor",
        memory="80Mi", v2="Observed"),
    Row("host-limit", HOST, "much_wait_for_outside", act="fill_machine", memory="160Mi",
        versions=(2,), v2="Observed", guest=True),
    # v2 kills the whole container at once (memory.oom.group), unless the runner clears it.
    Row("child", EXITED, "child_then_exit", exit_code=(0,), child=True, act="no_group",
        v1="Measured"),
    Row("child-group", OWN, "child_then_exit", act="go", versions=(2,)),
    Row("child-then-exit-137", EXITED, "child_then_137", child=True, act="no_group",
        v1="Measured"),
    Row("child-then-outside", OUTSIDE, "child_then_outside", child=True, act="no_group_then_kill",
        v1="Strongly Suggested", v2="Strongly Suggested"),
    Row("child-then-own", OWN, "child_then_own", child=None, act="no_group"),
    Row("child-behind-shell", EXITED, "shell_child", child=True, act="no_group", v1="Measured"),
    Row("nested-child", EXITED, "nested_child", exit_code=(0,), child=True, act="nest_child",
        v1="Measured"),
    Row("nested-main", OWN, "met_then_grow", act="nest_main", v1="Correlated"),
    Row("many-kills", OWN, "many_kills", child=None),
    Row("outside", OUTSIDE, "wait_for_outside", act="kill", v1="Strongly Suggested",
        v2="Strongly Suggested"),
    Row("outside-near-limit", OUTSIDE, "big_wait_for_outside", act="kill",
        v1="Strongly Suggested", v2="Strongly Suggested"),
    Row("oomd-mark", USERSPACE, "wait_for_outside", act="kill_as_oomd", versions=(2,),
        v2="Observed", proof="systemd-oomd, xattr: user.oomd"),
    Row("earlyoom", USERSPACE, "much_wait_for_outside", act="earlyoom", memory="320Mi",
        versions=(2,), v2="Observed", guest=True, journal=True, needs="earlyoom",
        proof="earlyoom, journal: sending SIGKILL"),
    Row("oomd", USERSPACE, "thrash", act="oomd", versions=(2,), v2="Observed", guest=True,
        journal=True, proof="systemd-oomd, journal: Killed /"),
    Row("stop", PLATFORM, "wait_forever", options=(*STOP, "--stop-grace", "100ms"), v1="Measured",
        expect={"platform_kill": "stop"}),
    Row("stop-polite", PLATFORM, "exit_on_sigterm", options=STOP, exit_code=(0,), v1="Correlated",
        v2="Correlated", expect={"platform_kill": "stop"}),
    Row("deadline", PLATFORM, "wait_forever", v1="Measured",
        options=("--cooldown", "100ms", "--ready", "tcp", "--deadline", "400ms", "--stop-grace",
                 "100ms"),
        expect={"platform_kill": "deadline"}),
    Row("liveness", PLATFORM, "wait_forever", v1="Measured",
        options=("--liveness", "tcp period=50ms failures=3", "--stop-grace", "100ms"),
        expect={"platform_kill": "liveness-probe"}),
    Row("startup-probe", PLATFORM, "wait_forever", v1="Measured",
        options=("--startup", "tcp period=50ms failures=3", "--stop-grace", "100ms"),
        expect={"platform_kill": "startup-probe"}),
    Row("killed-while-stopping", OWN, "grow_on_sigterm", act="interrupt", stopped=True,
        options=("--stop-grace", "30s")),
    Row("exit-137", EXITED, "exit_137", v1="Measured"),
    Row("fault", SIGNALLED, "fault", exit_code=(139,), v1="Measured", expect={"signal": 11}),
    # PID 1 cannot raise SIGABRT against itself: glibc's abort() goes on to an invalid instruction.
    Row("abort", SIGNALLED, "abort", exit_code=(139,), v1="Measured", expect={"signal": 11}),
    Row("python", RUNTIME, "python_memory_error", exit_code=(1,), memory="128Mi", v2="Observed"),
    Row("python-caught", OWN, "python_memory_error_caught"),
    Row("node", RUNTIME, needs="node", memory="256Mi", exit_code=(134, 139), v2="Observed",
        command=("node", "--max-old-space-size=20", "-e", NODE), slow=True),
    Row("java-exit", RUNTIME, needs="java", memory="256Mi", exit_code=(3,), v2="Observed",
        command=("java", "-Xmx24m", "-XX:+ExitOnOutOfMemoryError", "{programs}/Grow.java"),
        slow=True),
    Row("java-uncaught", RUNTIME, needs="java", memory="256Mi", exit_code=(1,), v2="Observed",
        command=("java", "-Xmx24m", "{programs}/Grow.java"), slow=True),
    Row("c++", RUNTIME, needs="g++", exit_code=(134, 139), v2="Observed",
        command=("{c++}",), slow=True),
    Row("memfd", OWN, "memfd"),
    Row("tmpfs", OWN, "tmpfs"),
    Row("page-tables", OWN, "page_tables"),
    Row("sockets", OWN, "sockets"),
    Row("pipes", OWN, "pipes"),
    Row("threads", OWN, "threads", slow=True),
    Row("log-burnt", OWN, "met_then_grow", log="burnt", act="go", v1="Correlated"),
    Row("log-burnt-ancestor", ANCESTOR, "half_then_met_then_grow", log="burnt",
        place="ancestor", memory="80Mi", act="squeeze", v1="Correlated", v2="Correlated"),
    Row("log-burnt-child", EXITED, "child_then_exit", log="burnt", exit_code=(0,), child=True,
        act="no_group", v1="Measured"),
    Row("log-burnt-child-then-outside", OUTSIDE, "child_then_outside", log="burnt", child=True,
        act="no_group_then_kill", v1="Strongly Suggested", v2="Strongly Suggested"),
    Row("log-unreadable", OWN, "own_limit", log="unreadable", v1="Correlated"),
    Row("log-unreadable-ancestor", ANCESTOR, "met_then_grow", log="unreadable", place="ancestor",
        memory="80Mi", act="squeeze", v1="Correlated", v2="Correlated"),
    Row("log-unreadable-child", EXITED, "child_then_exit", log="unreadable", exit_code=(0,),
        child=True, act="no_group", v1="Measured"),
    Row("log-unreadable-child-then-outside", OUTSIDE, "child_then_outside", log="unreadable",
        child=True, act="no_group_then_kill", v1="Strongly Suggested", v2="Strongly Suggested"),
    Row("log-unreadable-outside", OUTSIDE, "wait_for_outside", log="unreadable", act="kill",
        v1="Strongly Suggested", v2="Strongly Suggested"),
]
