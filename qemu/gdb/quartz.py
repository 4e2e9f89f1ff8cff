"""What gdb has to know of a Quartz guest: commands and printers for its rings, flows and black box.

    gdb -x qemu/gdb/quartz.py target/quartz-unikernel.debug
    (gdb) target remote target/gdb.sock     a guest of `make debug`
    (gdb) core-file dump                    or a dump of a guest's memory (QEMU's dump-guest-memory)

    (gdb) quartz rings          what the ledgers say, beside what lies in the rings' memory
    (gdb) quartz flows          the connections
    (gdb) quartz flow SLOT      one of them with all its fields
    (gdb) quartz time-wait      the records of closed connections
    (gdb) quartz events [N]     the last N events of the black box (default 32)
    (gdb) quartz blackbox       its header: build, failure, last look, and where it lies

Fields are found by their names in the debug information. One that is gone is an error that names
those that are there: then this script and the kernel are of different versions.
"""

import ipaddress
import os
import struct

import gdb
import gdb.printing

# Layout of the black box: kernel/abi/src/blackbox.rs.
MAGIC = int.from_bytes(b"QUARTZBB", "little")
VERSION = 1
EVENT_WORDS = 4
HEADER_WORDS = 80
W_VERSION, W_CAPACITY, W_WRITTEN, W_LOOK, W_CLOCK = 1, 2, 3, 4, 5
W_EXIT, W_FAILURE_LEN, W_FAILURE, W_KERNEL = 6, 7, 8, 40
W_RX, W_TX, W_ADDRESSES, W_BUILD = 44, 58, 72, 78
RING = "size avail_idx used_idx gap free harvested posted kicks interrupts spurious".split()
RING += "missed_interrupts rekicks bad_used resets".split()
FAILURE_TEXT = 256
NO_QUEUE = 0xFFFF

SECOND = 1_000_000


# Values


def plain(value):
    """Without references and without structs that wrap a single field."""
    while True:
        kind = value.type.strip_typedefs()
        if kind.code == gdb.TYPE_CODE_REF:
            value = value.referenced_value()
        elif kind.code == gdb.TYPE_CODE_STRUCT and len(kind.fields()) == 1:
            value = value[kind.fields()[0]]
        else:
            return value


def field(value, path):
    """The field at `path` (names with dots); an error that helps if there is none."""
    for name in path.split("."):
        kind = value.type.strip_typedefs()
        if kind.code == gdb.TYPE_CODE_PTR:
            value, kind = value.dereference(), kind.target().strip_typedefs()
        names = [f.name for f in kind.fields()] if has_fields(kind) else []
        if name not in names:
            there = ", ".join(n for n in names if n) or "no fields"
            raise gdb.GdbError(
                f"no field `{name}` in {kind}, which has {there}: "
                "this script and the kernel are of different versions"
            )
        value = value[name]
    return value


def has_fields(kind):
    return kind.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)


def number(value):
    return int(plain(value))


def word(value):
    """The last part of an enumeration's value: `Idle` of `quartz_net::flow::Stage::Idle`."""
    return str(value).rsplit("::", 1)[-1]


def pointer(value):
    """The address in the first pointer of a value, however deep (`Unique`, `NonNull`, `UnsafeCell`)."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_PTR:
        return int(value)
    if has_fields(kind):
        for part in kind.fields():
            found = pointer(value[part])
            if found is not None:
                return found
    return None


def elements(vec):
    """The elements of a `Vec`."""
    of = vec.type.strip_typedefs().template_argument(0)
    start = pointer(field(vec, "buf"))
    for index in range(number(field(vec, "len"))):
        at = gdb.Value(start + index * of.sizeof)
        yield at.cast(of.pointer()).dereference()


def some(option):
    """What an `Option` of a number holds; `None` for none."""
    for part in option.type.strip_typedefs().fields():
        if part.name == "Some" and "Some" in str(option):
            return number(option["Some"])
    return None


def leaves(value, path="", depth=4):
    """The numbers and words in a struct, each with its path. What lies behind pointers, in arrays
    and in the variants of an enumeration is left out: gdb 13 ends itself over some of those."""
    for part in value.type.strip_typedefs().fields():
        inner, name = value[part], f"{path}{part.name}".replace(".__0", "")
        kind = inner.type.strip_typedefs()
        if kind.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_BOOL):
            yield name, str(inner)
        elif kind.code == gdb.TYPE_CODE_ENUM:
            yield name, word(inner)
        elif kind.code != gdb.TYPE_CODE_STRUCT:
            continue
        elif str(kind).startswith("core::option::Option<"):
            if holds_number(kind):
                number_or_none = some(inner)
                yield name, "-" if number_or_none is None else str(number_or_none)
        elif not is_enumeration(kind) and depth > 0:
            yield from leaves(inner, f"{name}.", depth - 1)


def is_enumeration(kind):
    """Whether a struct stands for an enumeration: then its fields are of types below its name."""
    return any(str(part.type).startswith(f"{kind}::") for part in kind.fields())


def holds_number(option):
    """Whether an `Option` is one of a number, by its name: the type of a value that is none does
    not have the other variant any more."""
    held = str(option).removeprefix("core::option::Option<").removesuffix(">")
    try:
        kind = gdb.lookup_type(held).strip_typedefs()
    except gdb.error:
        return False
    while kind.code == gdb.TYPE_CODE_STRUCT and len(kind.fields()) == 1:
        kind = kind.fields()[0].type.strip_typedefs()
    return kind.code == gdb.TYPE_CODE_INT


def memory(address, length):
    return gdb.selected_inferior().read_memory(address, length).tobytes()


def u16_at(address):
    return struct.unpack("<H", memory(address, 2))[0]


def symbol(name, what):
    try:
        # Rust's own language has no word for a symbol without a type.
        with gdb.with_parameter("language", "c"):
            return int(gdb.parse_and_eval(f"(unsigned long)&{name}"))
    except gdb.error:
        raise gdb.GdbError(
            f"no symbol {name} ({what}): load target/quartz-unikernel.debug with `file`"
        ) from None


def machine():
    """The machine that the loop turns."""
    try:
        kind = gdb.lookup_type("quartz_kernel::machine::Machine")
    except gdb.error:
        raise gdb.GdbError(
            "no type quartz_kernel::machine::Machine: load target/quartz-unikernel.debug with `file`"
        ) from None
    place = symbol("quartz_machine", "where the machine lies")
    at = struct.unpack("<Q", memory(place, 8))[0]
    if at == 0:
        raise gdb.GdbError("the guest has not got so far: its main loop does not run yet")
    return gdb.Value(at).cast(kind.pointer()).dereference()


class Box:
    """The black box."""

    def __init__(self):
        self.address = symbol("quartz_black_box", "the black box")
        self.header = struct.unpack(
            f"<{HEADER_WORDS}Q", memory(self.address, HEADER_WORDS * 8)
        )
        if self.header[0] != MAGIC:
            raise gdb.GdbError("the guest has not got so far: its black box is not open yet")
        if self.header[W_VERSION] != VERSION:
            raise gdb.GdbError(
                f"black box of version {self.header[W_VERSION]}, this script reads {VERSION}"
            )

    def text(self, first, words):
        return struct.pack(f"<{words}Q", *self.header[first : first + words])

    def events(self, count):
        written, capacity = self.header[W_WRITTEN], self.header[W_CAPACITY]
        kept = min(written, capacity, count)
        for event in range(written - kept, written):
            at = self.address + 8 * (HEADER_WORDS + event % capacity * EVENT_WORDS)
            yield event, struct.unpack("<4Q", memory(at, 8 * EVENT_WORDS))


def table(head, rows):
    """Prints columns, each as wide as it has to be."""
    rows = [head, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        print("  ".join(text.rjust(width) for text, width in zip(row, widths)))


def seconds(micros):
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), SECOND)
    return f"{sign}{whole}.{rest:06}"


# Printers


def address(value):
    """An address: IPv4 addresses lie mapped in IPv6 ones (RFC 4291, 2.5.5.2)."""
    # The bytes: not every gdb knows numbers of 128 bits.
    raw = memory(int(value.address), 16) if value.address is not None else b""
    if len(raw) != 16:
        return "?"
    of = ipaddress.IPv6Address(int.from_bytes(raw, "little"))
    return str(of.ipv4_mapped or f"[{of}]")


def tuple_text(value):
    remote = f"{address(field(value, 'remote'))}:{number(field(value, 'remote_port'))}"
    local = f"{address(field(value, 'local'))}:{number(field(value, 'local_port'))}"
    return remote, local


class TuplePrinter:
    """`Tuple`: whose connection it is."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return "{} -> {}".format(*tuple_text(self.value))


class IndexPrinter:
    """`RingIndex`: a number."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return str(number(self.value))


class InstantPrinter:
    """`Instant`: seconds since boot."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return f"{seconds(number(field(self.value, 'micros')))} s"


class LedgerPrinter:
    """`Ledger`: how far both sides have come, without the table of owners."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return "ledger: " + ", ".join(f"{k} {v}" for k, v in ledger(self.value)[:5])


class FlowPrinter:
    """`Flow`: its stage and whose it is; `quartz flow SLOT` shows the rest."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return "{} {} -> {}".format(
            word(field(self.value, "stage")), *tuple_text(field(self.value, "tuple"))
        )


def printers():
    found = gdb.printing.RegexpCollectionPrettyPrinter("quartz")
    for name, kind, printer in [
        ("tuple", "quartz_net::segment::Tuple", TuplePrinter),
        ("index", "quartz_drivers::index::RingIndex", IndexPrinter),
        ("instant", "smoltcp::time::Instant", InstantPrinter),
        ("ledger", "quartz_drivers::ledger::Ledger", LedgerPrinter),
        ("flow", "quartz_net::flow::Flow", FlowPrinter),
    ]:
        found.add_printer(name, f"^{kind}$", printer)
    return found


# Commands


def ledger(value):
    """Names and figures of a ledger, as in `/stats.json`."""
    avail, used = number(field(value, "published")), number(field(value, "seen"))
    rows = [
        ("size", number(field(value, "owners.len"))),
        ("avail_idx", avail),
        ("used_idx", used),
        ("gap", (avail - used) % 0x10000),
        ("free", number(field(value, "free.len"))),
    ]
    counters = field(value, "stats")
    for part in counters.type.strip_typedefs().fields():
        rows.append((part.name, number(counters[part])))
    return rows


def returned(queue):
    """Credits that dropped frames brought back and nobody has posted yet."""
    pool = field(queue, "pool")
    inner = gdb.Value(pointer(pool)).cast(
        pool.type.strip_typedefs().template_argument(0).pointer()
    )
    # An `Rc` points to its counts; the value comes behind them.
    counts = 2 * gdb.lookup_type("usize").sizeof
    inner = gdb.Value(int(inner) + counts).cast(inner.type)
    return number(field(inner, "returned.value.value.len"))


class Quartz(gdb.Command):
    """Looks into a Quartz guest."""

    def __init__(self):
        super().__init__("quartz", gdb.COMMAND_DATA, prefix=True)


class Rings(gdb.Command):
    """quartz rings: the ledgers, beside the rings' memory.

    `avail_idx`, `used_idx` and the counters are the driver's, as in /stats.json and on the console.
    The lines `in memory` are what the device sees and has written. `docs/ring.md` says how to read
    them."""

    def __init__(self):
        super().__init__("quartz rings", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        device = field(machine(), "nic.device")
        places = Box().header[W_ADDRESSES : W_ADDRESSES + 6]
        columns = []
        for name, (_, driver, used) in [("rx", places[:3]), ("tx", places[3:])]:
            queue = field(device, name)
            rows = ledger(field(queue, "ledger"))
            figures = dict(rows)
            # As the driver counts: what came back and waits is free too.
            figures["free"] += returned(queue)
            there = u16_at(used + 2)
            figures["in memory: avail.idx"] = u16_at(driver + 2)
            figures["in memory: used.idx"] = there
            taken = number(field(queue, "ledger.taken"))
            figures["used, not taken in"] = (there - taken) % 0x10000
            columns.append(figures)
        print(f"{'ring':22} {'rx':>14} {'tx':>14}")
        for name in columns[0]:
            print(f"{name:22} {columns[0][name]:>14} {columns[1][name]:>14}")


class Flows(gdb.Command):
    """quartz flows: a line for each connection.

    `said` is what the peer has not acknowledged yet of what we have to say, in bytes; `in flight`
    what of it is on its way, `window` what the peer would take. Times are seconds, from the last
    look of the main loop on: `age` since the SYN, `timer` until the sender does something by
    itself, `deadline` until the connection has to have got further."""

    def __init__(self):
        super().__init__("quartz flows", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        now = Box().header[W_LOOK]
        pool = field(machine(), "stack.pool.flows")
        rows = []
        for slot, flow in enumerate(elements(pool)):
            stage = word(field(flow, "stage"))
            if stage == "Free":
                continue
            remote, local = tuple_text(field(flow, "tuple"))
            sender = field(flow, "sender")
            said = number(field(flow, "queue.len"))
            flight = (number(field(sender, "max")) - number(field(sender, "una"))) % 2**32
            window = number(field(sender, "window"))
            age = seconds(max(0, now - number(field(flow, "opened.micros"))))
            timer = some(field(sender, "timer"))
            timer = "-" if timer is None else seconds(timer - now)
            deadline = seconds(number(field(flow, "deadline.micros")) - now)
            figures = [str(said), str(flight), str(window)]
            rows.append([str(slot), stage, remote, local, age, *figures, timer, deadline])
        used = number(field(pool, "len"))
        head = ["slot", "stage", "peer", "local", "age", "said", "in flight", "window"]
        table([*head, "timer", "deadline"], rows)
        print(f"{len(rows)} connections; {used} slots used since boot")


class OneFlow(gdb.Command):
    """quartz flow SLOT: a connection with all its fields."""

    def __init__(self):
        super().__init__("quartz flow", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        flows = field(machine(), "stack.pool.flows")
        used = number(field(flows, "len"))
        if not argument.isdigit() or int(argument) >= used:
            raise gdb.GdbError(f"usage: quartz flow SLOT, a slot below {used}; see `quartz flows`")
        for slot, flow in enumerate(elements(flows)):
            if slot == int(argument):
                print(flow)
                for name, text in leaves(flow):
                    print(f"  {name:40} {text}")


class TimeWait(gdb.Command):
    """quartz time-wait: the records of closed connections."""

    def __init__(self):
        super().__init__("quartz time-wait", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        now = Box().header[W_LOOK]
        records = field(machine(), "stack.time_wait")
        free = {number(index) for index in elements(field(records, "free"))}
        rows = []
        for index, record in enumerate(elements(field(records, "records"))):
            if index in free:
                continue
            remote, local = tuple_text(field(record, "tuple"))
            left = seconds(number(field(record, "deadline.micros")) - now)
            rows.append([remote, local, left])
        table(["peer", "local", "forgotten in"], rows)
        print(f"{len(rows)} records")


class Events(gdb.Command):
    """quartz events [N]: the last N events of the black box, oldest first (default 32)."""

    def __init__(self):
        super().__init__("quartz events", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        if argument and not argument.isdigit():
            raise gdb.GdbError("usage: quartz events [N]")
        kind = gdb.lookup_type("quartz_abi::blackbox::EventKind")
        names = {f.enumval: f.name.rsplit("::", 1)[-1] for f in kind.fields()}
        print(f"{'number':>8} {'seconds':>13} {'q':3} {'event':16} {'count':>6} {'a':>10} {'b':>10}")
        for event, (time, head, a, b) in Box().events(int(argument or 32)):
            code, queue, count = head & 0xFFFF, head >> 16 & 0xFFFF, head >> 32
            queue = {0: "rx", 1: "tx", NO_QUEUE: "-"}.get(queue, f"q{queue}")
            name = names.get(code, f"kind {code}")
            print(f"{event:>8} {seconds(time):>13} {queue:3} {name:16} {count:>6} {a:>#10x} {b:>#10x}")


class BlackBox(gdb.Command):
    """quartz blackbox: the header of the black box. `quartz events` shows what it recorded."""

    def __init__(self):
        super().__init__("quartz blackbox", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        box = Box()
        head = box.header
        version = box.text(W_KERNEL, 4).split(b"\0")[0].decode(errors="replace")
        print(f"Quartz {version}, build {box.text(W_BUILD, 2).hex()}")
        print(f"at {box.address:#x}, {8 * (HEADER_WORDS + head[W_CAPACITY] * EVENT_WORDS)} bytes")
        print(f"last look at the rings {seconds(head[W_LOOK])} s after boot")
        for name, at in [("rx", W_RX), ("tx", W_TX)]:
            figures = zip(RING, head[at : at + len(RING)])
            print(f"{name} then: " + ", ".join(f"{k} {v}" for k, v in figures))
        print(f"{head[W_WRITTEN]} events since boot, the last {head[W_CAPACITY]} are kept")
        if head[W_EXIT]:
            length = min(head[W_FAILURE_LEN], FAILURE_TEXT)
            text = box.text(W_FAILURE, W_KERNEL - W_FAILURE)[:length].decode(errors="replace")
            print(f"failed with exit code {head[W_EXIT]:#x}: {text}")
        else:
            print("no failure recorded")


# The image names its sources from the top of their tree on: this script lies two levels below.
top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if os.path.exists(os.path.join(top, "kernel", "src")):
    gdb.execute(f"directory {top}", to_string=True)

for command in [Quartz, Rings, Flows, OneFlow, TimeWait, Events, BlackBox]:
    command()
gdb.printing.register_pretty_printer(gdb.current_objfile(), printers(), replace=True)
