"""session.py NAME FILE RAW [--check OLD] -- SHELL...: records a session and draws it as SVG.

Types the commands of session NAME at a pseudo-terminal that runs SHELL. Draws the screen into FILE
and writes the raw output to RAW. With --check, prints the differences from OLD and exits with 1 if
there are any. scripts/session calls it.
"""
import difflib, fcntl, os, pty, re, select, struct, sys, termios, time
from xml.sax.saxutils import escape
import pyte, pyte.graphics, pyte.screens

# Stands for the last audit head on the screen.
HEAD = "HEAD"
# A question of the program, and the answer.
QUESTION, ANSWER = "to continue:", "sim-dev/influxdb"
# Title, description, and the commands with their expected exit codes.
SESSIONS = {
    "session": ("A session with bypassctl", "In a terminal, bypassctl enables the admin token, "
                "reports its status, disables it again and verifies the audit log.", (
    ("bypassctl enable -n influxdb --reason CHG-12", 0),
    ("influxctl database list", 0),
    ("diff config.toml.before ~/.config/influxctl/config.toml", 1),
    ("bypassctl status -n influxdb", 0),
    ("bypassctl disable", 0),
    ("cmp config.toml.before ~/.config/influxctl/config.toml && echo unchanged", 0),
    ("bypassctl audit export | grep '^kubectl get' | sort | uniq -c", 0),
    (f"bypassctl audit verify --expect {HEAD}", 0),
)),
    "rotation": ("A rotation with bypassctl", "In a terminal, bypassctl doctor runs its checks, rotate "
                 "asks and replaces the token, status reports it, and audit list shows the runs.", (
    ("bypassctl doctor -n influxdb", 0),
    ("bypassctl rotate -n influxdb --reason CHG-31", 0),
    ("bypassctl status -n influxdb", 0),
    ("bypassctl audit list", 0),
)),
}
# Wide enough for the longest line, and high enough that nothing scrolls.
COLUMNS, ROWS = 116, 120
# Pixels. GAP separates a command from the previous output.
SIZE, LINE, GAP, LEFT, TOP = 14, 19, 9, 20, 28
PLAIN = pyte.screens.Char("")
FONTS = ("ui-monospace, SFMono-Regular, Menlo, Consolas, \"Liberation Mono\", "
         "\"DejaVu Sans Mono\", monospace")

# Values that differ between runs.
VARIABLE_VALUES = (
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UID"),
    (r"\b\d+:[0-9a-f]{32,64}\b", "SEQ:HASH"),
    # A hash can continue in the next row.
    (r">[0-9a-f]{8,32}<", ">HASH<"),
    (r"\b\d+ entries\b", "N entries"),
    (r"\bfingerprint [0-9a-f]{12}\b", "fingerprint F"),
    # An address can continue in the next row.
    (r"\.0\.0\.1:\d+", ".0.0.1:PORT"),
    (r"\b(UID|run) [0-9a-f]{8}\b", r"\1 ID"),
    (r"\b\d+ (s|min) (ago|old)\b", r"N \2"),
    (r"\b\d+\.\d s from\b", "N s from"),
    # The width of a column depends on its values.
    (r" {2,}", "  "),
    (r"\bN ago  [0-9a-f]{8}\b", "N ago  ID"),
    (r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b\S+ on workstation wrote", "USER on workstation wrote"),
)


def screen_text(screen):
    return "\n".join(line.rstrip() for line in screen.display).rstrip()


def record_session(commands, shell, raw):
    """Returns the rows of the screen after the session, up to the last prompt."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    pyte.graphics.FG_ANSI[2] = "dim"  # unknown to pyte, which also calls yellow brown
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execvp(shell[0], shell)

    def wait_for_prompt(number):
        """Returns the exit code of the previous command. The shell's title has both numbers."""
        end = time.monotonic() + 60
        answered = False
        while (not screen.title.startswith(f"{number} ")
               or screen.display[screen.cursor.y].rstrip() != "$"):
            line = screen.display[screen.cursor.y].rstrip()
            if not answered and line.endswith(QUESTION):
                answered = True
                os.write(terminal, ANSWER.encode() + b"\n")
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            try: output = os.read(terminal, 65536) if ready else b""
            except OSError: output = b""  # Linux: the shell has exited
            if not output:
                sys.exit(f"session: the shell exited or timed out:\n{screen_text(screen)}")
            raw.write(output)
            stream.feed(output)
        return int(screen.title.split()[1])

    wait_for_prompt(1)
    for number, (command, expected) in enumerate(commands, 1):
        heads = re.findall(r"audit head \S+ (\d+:\w{64})", screen_text(screen)) or [""]
        os.write(terminal, command.replace(HEAD, heads[-1]).encode() + b"\n")
        code = wait_for_prompt(number + 1)
        if code != expected:
            sys.exit(f"session: {command}: exit code {code}, not {expected}:\n"
                     f"{screen_text(screen)}")
    os.close(terminal)
    os.waitpid(pid, 0)
    return [[screen.buffer[y][x] for x in range(COLUMNS)] for y in range(screen.cursor.y)]


def draw_row(row):
    """Returns whether the row is a command, and its SVG: one piece for each run of one style."""
    pieces = []
    for cell in row:
        plain = cell._replace(data="", fg="default", bold=False)
        if plain != PLAIN: sys.exit(f"session: cannot draw {cell}")
        style = " ".join([cell.fg] * (cell.fg != "default") + ["bold"] * cell.bold)
        if not pieces or pieces[-1][0] != style: pieces.append([style, ""])
        pieces[-1][1] += cell.data
    while pieces and not pieces[-1][1].rstrip(): pieces.pop()
    if pieces: pieces[-1][1] = pieces[-1][1].rstrip()
    text = "".join(f'<tspan class="{style}">{escape(text)}</tspan>' if style else escape(text)
                   for style, text in pieces)
    is_command = row[0].bold and row[0].data == "$"
    # Relative positions keep the difference small when a line is added. An empty row needs text.
    step = LINE + GAP * is_command
    return is_command, f'<tspan x="{LEFT}" dy="{step}" xml:space="preserve">{text or " "}</tspan>'


def draw(title, description, rows):
    commands, lines = zip(*map(draw_row, rows))
    height = TOP + len(lines) * LINE + sum(commands) * GAP + LEFT
    width = LEFT * 2 + int(COLUMNS * SIZE * 0.605)  # wide enough for every usual font
    colours = ("#ff5f57", "#febc2e", "#28c840")
    dots = "".join(f'<circle cx="{LEFT + 6 + 20 * n}" cy="20" r="6" fill="{colour}"/>'
                   for n, colour in enumerate(colours))
    attributes = 'role="img" aria-labelledby="title description"'
    frame = f'width="{width - 1}" height="{height - 1}" rx="8" fill="#0d1117" stroke="#3d444d"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {attributes}>
<title id="title">{title}</title>
<desc id="description">{description}</desc>
<style>
text {{ font: {SIZE}px {FONTS}; fill: #d1d7e0; }}
.bold {{ font-weight: bold; fill: #ffffff; }}
.dim {{ fill: #8b949e; }}
.green {{ fill: #3fb950; }}
.brown {{ fill: #d29922; }}
.red {{ fill: #f85149; }}
</style>
<rect x="0.5" y="0.5" {frame}/>
{dots}
<text y="{TOP}">
{chr(10).join(lines)}
</text>
</svg>
"""


def normalize(text):
    for pattern, name in VARIABLE_VALUES: text = re.sub(pattern, name, text)
    # Concurrent steps finish in any order.
    return sorted(text.splitlines())


def main():
    separator = sys.argv.index("--")
    options, shell = sys.argv[1:separator], sys.argv[separator + 1:]
    name, file, raw_file, *check = options
    title, description, commands = SESSIONS[name]
    with open(raw_file, "wb") as raw: rows = record_session(commands, shell, raw)
    new = draw(title, description, rows)
    with open(file, "w") as f: f.write(new)
    if check[:1] != ["--check"]: return
    with open(check[1]) as f: old = f.read()
    differences = list(difflib.unified_diff(
        normalize(old), normalize(new), check[1], "this session", lineterm="", n=1))
    if differences:
        sys.exit("\n".join(differences)
                 + f"\nsession: {check[1]} is out of date: run scripts/session")
    print(f"{check[1]} is up to date")


main()
