"""Rules on the C and Python sources: floors, house numbers, names, calls. A rule takes the tree and
yields one sentence a violation."""
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from tree import code_of, is_c, line_of

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)

# folder -> folders that its files may include; config/limits.h is open to all.
FLOORS = {
    "core/base": [],
    "core/linalg": ["core/base"],
    "core/net": ["core/base", "core/linalg"],
    "core/flow": ["core/base", "core/linalg", "core/net"],
    "core/table": ["core/base"],
    "core/train": ["core"],
    "proto": ["core"],
    "config": ["core/base", "proto"],
    "server": ["core", "proto"],
    "tests": ["core", "proto", "config", "server"],
}
# foreign header -> the only places, tests apart, that may include it.
FOREIGN = {
    "jansson.h": ["proto/json.c"],
    "microhttpd.h": ["server/http/httpd.c"],
    "cblas.h": ["core/linalg/"],
    "sqlite3.h": ["server/store/db.c"],
    "uv.h": ["server/"],
    "zip.h": ["proto/archive.c"],
    "nettle/": ["server/"],
}
# core/ and proto/ know no socket, thread, clock or file.
IMPURE_HEADERS = {"pthread.h", "threads.h", "time.h", "unistd.h", "fcntl.h", "poll.h", "signal.h",
                  "dirent.h", "netdb.h", "semaphore.h", "thread", "mutex", "chrono", "fstream",
                  "iostream"}
IMPURE_CALLS = {"fopen", "fdopen", "printf", "puts", "putchar", "perror", "getenv", "time"}

FILE_LINES = [("tests/", 800), (".h", 200), ("", 600)]
FUNCTION_LINES = 70
COLUMNS = 100
PARAMETERS = 6

BANNED_CALLS = {
    "strcpy": "buf_text or snprintf", "strcat": "buf_text", "strncpy": "snprintf",
    "strncat": "buf_append", "sprintf": "snprintf", "vsprintf": "vsnprintf", "strtok": "strchr",
    "gets": "fgets", "rand": "core/linalg/rng.h", "srand": "core/linalg/rng.h",
    "random": "core/linalg/rng.h", "alloca": "core/base/arena.h", "atoi": "number_read",
    "atof": "number_read", "atol": "number_read", "system": "uv_spawn", "popen": "uv_spawn",
    "tmpnam": "mkstemp", "mktemp": "mkstemp", "asprintf": "buf_printf", "assert": "check",
}
HEAP_CALLS = {"malloc", "calloc", "realloc", "free", "strdup", "strndup", "aligned_alloc",
              "posix_memalign"}
HEAP_SEAM = "core/base/mem.c"
# What the C library allocated is given back to it.
FOREIGN_HEAP = re.compile(r"\b(realpath|getline)\s*\(")

# The one of several builds for which headers are compiled alone.
VARIANT = ["-DTILE_PLAIN"]

# One file holds both directions of a verb.
INVERSE = {"encode": "decode"}


def folder_of(path):
    return str(Path(path).parent)


def floor_of(path):
    for floor in FLOORS:
        if path == floor or path.startswith(floor + "/"):
            return floor
    return None


def under(path, places):
    return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)


def sources(tree, folders=("core/", "proto/", "config/", "server/")):
    return {path: text for path, text in tree.items() if is_c(path) and path.startswith(folders)}


def rule_floors(tree):
    """An include goes down, or stays on its own floor."""
    for path, text in tree.items():
        floor = floor_of(path)
        if not is_c(path) or floor is None:
            continue
        for quote, target in INCLUDE.findall(text):
            if quote == "<" or target == "config/limits.h":
                continue
            if "/" not in target:
                yield f'{path}: "{target}" must be written from the root'
            elif target == "config/config.h" and path.startswith("server/") \
                    and path != "server/main.c":
                yield f"{path}: config/config.h is seen by server/main.c alone"
            elif not under(target, FLOORS[floor] + [floor]) and not (
                    target == "config/config.h" and path == "server/main.c"):
                yield f"{path}: includes {target}, which is not on or below its floor"


def rule_foreign_headers(tree):
    """Each foreign library is known to one place."""
    for path, text in sources(tree).items():
        for _, target in INCLUDE.findall(text):
            for header, places in FOREIGN.items():
                if target.startswith(header) and not any(path.startswith(p) for p in places):
                    yield f"{path}: <{target}> belongs to {' and '.join(places)} alone"


def rule_pure_floors(tree):
    """No socket, thread, clock or file in core/ and proto/."""
    for path, text in sources(tree, ("core/", "proto/")).items():
        for quote, target in INCLUDE.findall(text):
            if quote == "<" and (target in IMPURE_HEADERS or target.startswith(("sys/", "netinet/",
                                                                                "arpa/"))):
                yield f"{path}: <{target}>: core/ and proto/ know no file, socket, thread or clock"
        yield from calls(path, text, dict.fromkeys(IMPURE_CALLS, "a floor above core and proto"))


def rule_own_header_first(tree):
    for path, text in sources(tree).items():
        own = re.sub(r"\.(c|cc)$", ".h", path)
        if own == path or own not in tree:
            continue
        first = INCLUDE.search(text)
        if not first or first.group(2) != own:
            yield f'{path}: must include its own header, "{own}", first'


def rule_file_lengths(tree):
    for path, text in tree.items():
        if not (is_c(path) or path.endswith((".py", ".sh")) or path.startswith("scripts/")):
            continue
        limit = next(n for key, n in FILE_LINES if path.startswith(key) or path.endswith(key))
        count = len(text.splitlines())
        if count > limit:
            yield f"{path}: {count} lines, at most {limit}"


def rule_columns(tree):
    for path, text in tree.items():
        if not (is_c(path) or path.endswith((".py", "meson.build", "Dockerfile"))
                or path.startswith("scripts/")):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > COLUMNS:
                yield f"{path}:{number}: {len(line)} columns, at most {COLUMNS}"


def rule_whitespace(tree):
    for path, text in tree.items():
        if text and not text.endswith("\n"):
            yield f"{path}: no newline at the end"
        if "\r" in text:
            yield f"{path}: a carriage return"
        for number, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip() and not path.endswith(".md"):
                yield f"{path}:{number}: space at the end of the line"
            if "\t" in line and (is_c(path) or path.endswith((".py", ".build"))):
                yield f"{path}:{number}: a tab"


def parse_tag(line):
    """(name, path, fields) of a line of ctags, or None."""
    parts = line.rstrip("\n").split("\t")
    if line.startswith("!") or len(parts) < 4:
        return None
    fields = dict(part.split(":", 1) for part in parts[3:] if ":" in part)
    fields["kind"] = next((part for part in parts[3:] if len(part) == 1), "")
    return parts[0], parts[1], fields


def functions(tree):
    """(path, name, line, end, signature, static, kind) of each C function and prototype."""
    return read_functions(tuple(item for item in tree.items() if item[0].endswith((".c", ".h"))))


@lru_cache
def read_functions(items):
    """ctags takes a while, and several rules ask for the same files."""
    files = dict(items)
    if not files:
        return []
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        # -I: words that ctags would take for a function's name; -D: macros that mean static
        statics = re.findall(r"^#define (\w+) static\b", "".join(files.values()), re.M)
        ran = subprocess.run(
            ["ctags", "--languages=C", "--langmap=C:.c.h", "--kinds-C=fp", "--fields=+neSfk",
             "-I", "__attribute__+,_Noreturn", *(f"-D{name}=static" for name in statics),
             "--sort=no", "-f", "-", "-L", "-"],
            input="\n".join(files), cwd=folder, capture_output=True, text=True, check=True)
    found = []
    for name, path, fields in filter(None, map(parse_tag, ran.stdout.splitlines())):
        line = int(fields.get("line", 0))
        found.append((path, name, line, int(fields.get("end", line)),
                      fields.get("signature", "()"), "file" in fields or path.endswith(".h"),
                      fields["kind"]))
    return found


def rule_function_lengths(tree):
    for path, name, line, end, _, _, kind in functions(tree):
        if kind == "f" and end - line + 1 > FUNCTION_LINES:
            yield f"{path}:{line}: {name} has {end - line + 1} lines, at most {FUNCTION_LINES}"


def parameter_count(signature):
    inside = signature.strip()[1:-1]
    depth = commas = 0
    for c in inside:
        depth += (c in "([") - (c in ")]")
        commas += c == "," and depth == 0
    return 0 if inside.strip() in ("", "void") else commas + 1


def rule_parameters(tree):
    """Foreign callbacks, which others define, are exempt."""
    for path, name, line, _, signature, _, _ in functions(tree):
        count = parameter_count(signature)
        if count > PARAMETERS and "struct MHD_Connection" not in signature:
            yield f"{path}:{line}: {name} takes {count} parameters, at most {PARAMETERS}"


def nouns_of(tree, path):
    """What the names of a file's public functions may begin with: the file, its folder, and the
    structs and enums of its header (its own, or the first that it includes from its folder). The
    parts of a module that outgrew one file (json.c, json_write.c) share its noun."""
    stem, folder = Path(path).stem, folder_of(path)
    header = f"{folder}/{stem}.h"
    if header not in tree:
        header = next((target for _, target in INCLUDE.findall(tree[path])
                       if folder_of(target) == folder), None)
    nouns = {stem, Path(folder).name, INVERSE.get(stem, stem)}
    nouns |= set(re.findall(r"\b(?:struct|enum) (\w+)\s*[;{]", code_of(tree.get(header, ""))))
    nouns |= {stem.split("_")[0]}
    return nouns | {noun[:-1] for noun in nouns if noun.endswith("s")}


def rule_prefixes(tree):
    """A public function begins with its module's noun."""
    known = sources(tree)
    for path, name, line, _, _, static, kind in functions(tree):
        if path not in known or static or kind != "f" or name == "main":
            continue
        nouns = nouns_of(tree, path)
        if not any(name == noun or name.startswith(noun + "_") for noun in nouns):
            yield f"{path}:{line}: {name} begins with none of {', '.join(sorted(nouns))}"


def calls(path, text, banned):
    code = code_of(text)
    pattern = r"(?<![\w.>])(" + "|".join(sorted(banned)) + r")\s*\("
    for match in re.finditer(pattern, code):
        name = match.group(1)
        yield f"{path}:{line_of(code, match.start())}: {name}() is banned; use {banned[name]}"


def rule_banned_calls(tree):
    for path, text in tree.items():
        if is_c(path):
            yield from calls(path, text, BANNED_CALLS)


def rule_heap_calls(tree):
    """Every allocation goes through the seam that tests can make fail."""
    for path, text in sources(tree).items():
        banned = HEAP_CALLS - ({"free"} if FOREIGN_HEAP.search(code_of(text)) else set())
        if path != HEAP_SEAM:
            yield from calls(path, text, dict.fromkeys(banned, "core/base/mem.h"))


def rule_header_guards(tree):
    for path, text in tree.items():
        guard = re.sub(r"\W", "_", path).upper()
        if path.endswith(".h") and not re.search(
                rf"^#ifndef {guard}\n#define {guard}$", text, re.M):
            yield f"{path}: needs the include guard {guard}"


def rule_headers_stand_alone(tree):
    """Each header compiles by itself."""
    headers = [path for path in tree if path.endswith(".h")]
    with tempfile.TemporaryDirectory() as folder:
        for path in headers:
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(tree[path])

        def compile_header(path):
            return path, subprocess.run(
                ["gcc", "-std=c11", "-D_GNU_SOURCE", *VARIANT, "-Wall", "-Wextra", "-Werror",
                 "-I", folder, "-fsyntax-only", "-x", "c", str(Path(folder, path))],
                capture_output=True, text=True)

        with ThreadPoolExecutor(2) as pool:
            for path, ran in pool.map(compile_header, headers):
                if ran.returncode:
                    reason = next((line for line in ran.stderr.splitlines() if "error:" in line),
                                  ran.stderr.strip())
                    yield f"{path}: does not compile alone: {reason.split('error:')[-1].strip()}"


def rule_python(tree):
    """Python is Debian's, standard library and numpy; what scripts/bench installs is for scripts
    in tests/bench."""
    for path, text in tree.items():
        if not path.endswith(".py"):
            continue
        if text.startswith("#!") and not text.startswith("#!/usr/bin/python3\n"):
            yield f"{path}: the shebang must be #!/usr/bin/python3"
        if re.search(r"^if __name__ ==", text, re.M) and not text.startswith("#!"):
            yield f"{path}: a program needs the shebang #!/usr/bin/python3"
        for name in re.findall(r"^(?:import|from) (torch|pandas|requests|sklearn|pytest)\b", text,
                               re.M):
            if not path.startswith(("tests/reference/", "tests/bench/")):
                yield f"{path}: {name} is not there on a fresh Debian"


RULES = [
    rule_floors, rule_foreign_headers, rule_pure_floors, rule_own_header_first, rule_file_lengths,
    rule_columns, rule_whitespace, rule_function_lengths, rule_parameters, rule_prefixes,
    rule_banned_calls, rule_heap_calls, rule_header_guards, rule_headers_stand_alone, rule_python,
]
