"""The files of the project as the rules see them: path -> text."""
import re
import subprocess
from pathlib import Path

TEXT_SUFFIXES = {".c", ".h", ".cc", ".py", ".sh", ".md", ".yaml", ".yml", ".build", ".txt", ".json",
                 ".html", ".js", ".ts", ".css", ".service", ".toml", ".conf"}
TEXT_NAMES = {"Dockerfile", ".dockerignore", ".gitignore", ".editorconfig", ".clang-format"}
SCRIPT_FOLDERS = ("scripts/", ".ci/")
DATA_FOLDERS = ("tests/data/", "tests/golden/", "tests/fuzz/corpus/")

C_NOISE = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def is_text(path):
    name = Path(path)
    return (name.suffix in TEXT_SUFFIXES or name.name in TEXT_NAMES
            or path.startswith(SCRIPT_FOLDERS)) and not path.startswith(DATA_FOLDERS)


def load(root):
    """The files that are, or would be, committed."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root,
                            capture_output=True, text=True)
    if listed.returncode == 0:
        paths = listed.stdout.splitlines()
    else:  # an unpacked archive
        paths = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
        paths = [path for path in paths if not path.startswith((".git/", "build", "var/"))]
    return {path: (root / path).read_text(encoding="utf-8", errors="replace")
            for path in sorted(paths) if is_text(path) and (root / path).is_file()}


def code_of(text):
    """C without comments and the insides of literals, line numbers kept."""
    def blank(match):
        kept = match.group()
        lines = "\n" * kept.count("\n")
        return '""' + lines if kept[0] in "\"'" else " " + lines
    return C_NOISE.sub(blank, text)


def is_c(path):
    return path.endswith((".c", ".h", ".cc"))


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1
