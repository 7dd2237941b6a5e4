"""session.py FILE RAW [--check OLD] -- SHELL...: types a session at a terminal whose shell is SHELL, and draws into FILE what
is then to be seen; all that was sent to the terminal goes into RAW. With --check: ends with 1, and the differences, if OLD
tells something else. For scripts/session."""
import difflib, fcntl, os, pty, re, select, struct, sys, termios, time
from xml.sax.saxutils import escape
import pyte, pyte.graphics, pyte.screens

HEAD = "HEAD" # what the run before printed as the end of the record: that is kept, and given to `audit verify`
SESSION = ( # what is typed, and the exit code that the story wants
    ("bypassctl enable -n influxdb --reason CHG-12", 0),
    ("influxctl database list", 0),
    ("diff config.toml.before ~/.config/influxctl/config.toml", 1),
    ("bypassctl status -n influxdb", 0),
    ("bypassctl disable", 0),
    ("cmp config.toml.before ~/.config/influxctl/config.toml && echo as it was", 0),
    ("bypassctl audit export | grep '^kubectl get' | sort | uniq -c", 0),
    (f"bypassctl audit verify --expect {HEAD}", 0),
)
COLUMNS, ROWS = 116, 120 # what the longest line takes; enough for all, so that nothing scrolls away
SIZE, LINE, GAP, LEFT, TOP = 14, 19, 9, 20, 28 # pixels; GAP is before a command
PLAIN = pyte.screens.Char("")
TITLE = "A session with bypassctl"
DESCRIPTION = "In a terminal, the admin token is put to use, looked at and taken out of use again, and the record of it is verified."

# What runs side by side ends in any order: the second before the first is the same.
SIDE_BY_SIDE = (("get-token: ", "note-cluster: "), ("try-token: ", "check-cluster: "))
VARIES = ( # from run to run
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UID"),
    (r"\b\d+:[0-9a-f]{32,64}\b", "SEQ:HASH"), (r">[0-9a-f]{8,32}<", ">HASH<"), # it may go on in the next row
    (r"\b\d+ records\b", "N records"),
    (r"\bfingerprint [0-9a-f]{12}\b", "fingerprint F"),
    (r"\b127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
)


def seen(screen): return "\n".join(line.rstrip() for line in screen.display).rstrip()


def record(shell, raw):
    """The screen after the session: the rows up to the last prompt."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    pyte.graphics.FG_ANSI[2] = "dim" # pyte does not know it; yellow it calls brown
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execvp(shell[0], shell)

    def prompted(number):
        """Reads on until the shell asks for that command; its title tells the number, and how the one before ended."""
        end = time.monotonic() + 60
        while not screen.title.startswith(f"{number} ") or screen.display[screen.cursor.y].rstrip() != "$":
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            try: sent = os.read(terminal, 65536) if ready else b""
            except OSError: sent = b"" # Linux: nobody has the other end any more
            if not sent: sys.exit(f"session: the shell has ended, or hangs:\n{seen(screen)}")
            raw.write(sent)
            stream.feed(sent)
        return int(screen.title.split()[1])

    prompted(1)
    for number, (command, wanted) in enumerate(SESSION, 1):
        heads = re.findall(r"audit head \S+ (\d+:\w{64})", seen(screen)) or [""]
        os.write(terminal, command.replace(HEAD, heads[-1]).encode() + b"\n")
        code = prompted(number + 1)
        if code != wanted: sys.exit(f"session: {command}: exit code {code}, not {wanted}:\n{seen(screen)}")
    os.close(terminal)
    os.waitpid(pid, 0)
    return [[screen.buffer[y][x] for x in range(COLUMNS)] for y in range(screen.cursor.y)]


def drawn(row):
    """A row as a line of SVG: what stands together in one style is one piece."""
    pieces = []
    for cell in row:
        plain = cell._replace(data="", fg="default", bold=False)
        if plain != PLAIN: sys.exit(f"session: there is no way to draw {cell}")
        style = " ".join([cell.fg] * (cell.fg != "default") + ["bold"] * cell.bold)
        if not pieces or pieces[-1][0] != style: pieces.append([style, ""])
        pieces[-1][1] += cell.data
    while pieces and not pieces[-1][1].rstrip(): pieces.pop()
    if pieces: pieces[-1][1] = pieces[-1][1].rstrip()
    text = "".join(f'<tspan class="{style}">{escape(text)}</tspan>' if style else escape(text) for style, text in pieces)
    typed = row[0].bold and row[0].data == "$"
    # Relative, so that a line more is one line more in a comparison; a row without anything would not count.
    return typed, f'<tspan x="{LEFT}" dy="{LINE + GAP * typed}" xml:space="preserve">{text or " "}</tspan>'


def picture(rows):
    typed, lines = zip(*map(drawn, rows))
    height = TOP + len(lines) * LINE + sum(typed) * GAP + LEFT
    width = LEFT * 2 + int(COLUMNS * SIZE * 0.605) # no usual font is wider
    dots = "".join(f'<circle cx="{LEFT + 6 + 20 * n}" cy="20" r="6" fill="{c}"/>' for n, c in enumerate(("#ff5f57", "#febc2e", "#28c840")))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title description">
<title id="title">{TITLE}</title>
<desc id="description">{DESCRIPTION}</desc>
<style>
text {{ font: {SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace; fill: #d1d7e0; }}
.bold {{ font-weight: bold; fill: #ffffff; }}
.dim {{ fill: #8b949e; }}
.green {{ fill: #3fb950; }}
.brown {{ fill: #d29922; }}
.red {{ fill: #f85149; }}
</style>
<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="#0d1117" stroke="#3d444d"/>
{dots}
<text y="{TOP}">
{chr(10).join(lines)}
</text>
</svg>
"""


def masked(text):
    for pattern, name in VARIES: text = re.sub(pattern, name, text)
    lines = text.splitlines()
    for first, second in SIDE_BY_SIDE:
        for n in range(1, len(lines)):
            if second in lines[n - 1] and first in lines[n]: lines[n - 1:n + 1] = lines[n], lines[n - 1]
    return lines


def main():
    options, shell = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
    with open(options[1], "wb") as raw: new = picture(record(shell, raw))
    with open(options[0], "w") as f: f.write(new)
    if options[2:3] != ["--check"]: return
    with open(options[3]) as f: old = f.read()
    differences = list(difflib.unified_diff(masked(old), masked(new), options[3], "as it is now", lineterm="", n=1))
    if differences: sys.exit("\n".join(differences) + "\nsession: the picture tells something else than the program does: run scripts/session")
    print("the picture tells what the program does")


main()
