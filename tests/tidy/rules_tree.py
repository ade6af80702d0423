"""Rules on the tree as a whole: the build's lists, the documents, the container, the contract."""
import re
from pathlib import Path

from tree import is_c, line_of

# In halves, so that this file does not trip over itself.
MARKERS = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "st" + "ub", "place" + "holder",
           "not " + "implemented"]
MARKER = re.compile(r"\b(" + "|".join(MARKERS) + r")s?\b(?!=)", re.I)
MACHINE = re.compile(r"(?<![\w.}])/(?:work|root|home|Users|mnt)/|/usr/local/|\b(?:pypi\.org"
                     r"|npmjs\.org|docker\.io|ghcr\.io|quay\.io|gcr\.io|proxy\.golang\.org)\b")
URL = re.compile(r"https?://([^\s/:'\"<>)`]+)")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]", "$", "{", "%", "ADDRESS", "example.")
FAST_MATH = "-ffast" + "-math"

ROUTE = re.compile(r'\{\s*(?:\.method\s*=\s*)?"(GET|PUT|POST|DELETE|PATCH|HEAD)",\s*'
                   r'(?:\.path\s*=\s*)?"(/[^"]*)"')
README_ROUTE = re.compile(r"^\|[^|\n]*?`(GET|PUT|POST|DELETE|PATCH|HEAD) (/[^`\s]*)`", re.M)


def own_files(tree):
    return {path: text for path, text in tree.items() if not path.startswith("tests/tidy/")}


def rule_markers(tree):
    """Nothing is left for later in the tree."""
    for path, text in own_files(tree).items():
        for match in MARKER.finditer(text):
            yield f"{path}:{line_of(text, match.start())}: the marker word {match.group()!r}"


def rule_no_machine(tree):
    """No path or host of somebody's machine."""
    for path, text in own_files(tree).items():
        for match in MACHINE.finditer(text):
            yield f"{path}:{line_of(text, match.start())}: {match.group()!r} belongs to one machine"
        if path.startswith(("scripts/", ".ci/")) or path.endswith(("Dockerfile", ".build")):
            for match in URL.finditer(text):
                if not match.group(1).startswith(LOCAL_HOSTS):
                    yield f"{path}:{line_of(text, match.start())}: a host, {match.group(1)}"


def rule_fast_math(tree):
    """It deletes isfinite(); only comments may name it."""
    for path, text in own_files(tree).items():
        if path.endswith((".build", "Dockerfile")) or path.startswith("scripts/"):
            for number, line in enumerate(text.splitlines(), 1):
                if FAST_MATH in line.split("#")[0]:
                    yield f"{path}:{number}: {FAST_MATH}"


def listed(tree, path):
    """True when a meson.build of the file's folder or of one above names it. Tests are often listed
    by their name alone ('base' for test_base.c)."""
    name, stem = Path(path).name, Path(path).stem
    words = [f"'{name}'", f"'{stem}'", f"/{name}'"]
    for prefix in ("test_", "fuzz_", "bench_"):
        if stem.startswith(prefix):
            words.append(f"'{stem[len(prefix):]}'")
    for folder in Path(path).parents:
        build = str(folder / "meson.build") if str(folder) != "." else "meson.build"
        if any(word in tree.get(build, "") for word in words):
            return True
    return any(f"'../{name}'" in text for build, text in tree.items()
               if build.endswith("/meson.build") and Path(build).parents[1] == Path(path).parent)


def rule_listed_in_meson(tree):
    """Every source is built and every test runs."""
    for path in tree:
        name = Path(path).name
        if path.startswith(("core/", "proto/", "config/", "server/")):
            wanted = path.endswith((".c", ".cc"))
        else:
            wanted = path.startswith("tests/") and (
                path.endswith((".c", ".cc")) or (name.startswith("test_") and name.endswith(".py")))
        if wanted and not listed(tree, path):
            yield f"{path}: no meson.build names it"


def rule_unit_tests_counted(tree):
    """A Check program ends with the counts that scripts/test sums."""
    for path, text in tree.items():
        if path.startswith("tests/unit/") and path.endswith(".c") \
                and Path(path).name.startswith("test_") and "unit_run(" not in text:
            yield f"{path}: main must return unit_run(suite)"


def rule_changelog(tree):
    text = tree.get("CHANGELOG.md", "")
    if not re.search(r"^## Unreleased\n+### \w+\n+- ", text, re.M):
        yield "CHANGELOG.md: needs '## Unreleased' with a kind ('### Added') and an entry"


def rule_links(tree):
    """A document links to files that are there."""
    for path, text in tree.items():
        if not path.endswith(".md"):
            continue
        for match in re.finditer(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            target = match.group(1)
            if "://" in target:
                continue
            there = str(Path(path).parent / target) if str(Path(path).parent) != "." else target
            if not any(known == there or known.startswith(there.rstrip("/") + "/")
                       for known in tree) and not there.startswith("tests/data"):
                yield f"{path}:{line_of(text, match.start())}: no such file: {target}"


def logical_lines(text):
    """A Dockerfile's instructions, continuations joined, comments left out."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in "\n".join(kept).replace("\\\n", " ").splitlines()
            if line.strip()]


def rule_dockerfile(tree):
    """Pinned base, non-root, health check, signals that reach the daemon, the build's packages."""
    lines = logical_lines(tree.get("Dockerfile", ""))
    stages = [i for i, line in enumerate(lines) if line.startswith("FROM ")]
    if not stages:
        yield "Dockerfile: there is none"
        return
    named = {line.split(" AS ")[1] for line in lines if line.startswith("FROM ") and " AS " in line}
    for i in stages:
        image = lines[i].split()[1]
        if image not in named and (":" not in image or image.endswith(":latest")):
            yield f"Dockerfile: {image} must name a release"
    if any(line.startswith("ADD ") for line in lines):
        yield "Dockerfile: COPY, not ADD"
    last = {line.split()[0]: line for line in lines[stages[-1]:]}
    if not re.match(r"USER [1-9]\d*:[1-9]\d*$", last.get("USER", "")):
        yield "Dockerfile: the last stage needs a numeric USER other than 0"
    for word in ("ENTRYPOINT", "HEALTHCHECK"):
        if "[" not in last.get(word, ""):
            yield f"Dockerfile: needs {word} in exec form"
    for word in ("STOPSIGNAL", "EXPOSE", "VOLUME"):
        if word not in last:
            yield f"Dockerfile: needs {word}"
    wanted = re.search(r"BUILD_PACKAGES=\(([^)]*)\)", tree.get("scripts/common.sh", ""))
    text = " ".join(lines[:stages[-1]])
    for package in wanted.group(1).split() if wanted else []:
        if package not in text.split():
            yield f"Dockerfile: the build stage does not install {package} (scripts/common.sh)"


def contract_routes(tree):
    """(method, path) -> operationId of openapi.yaml."""
    import yaml  # late: everything else here works without it
    document = yaml.safe_load(tree.get("proto/openapi.yaml", "")) or {}
    return {(method.upper(), path): operation.get("operationId")
            for path, item in document.get("paths", {}).items()
            for method, operation in item.items()
            if method in ("get", "put", "post", "delete", "patch", "head")}


def rule_routes(tree):
    """The daemon's tables, openapi.yaml and the README know the same routes."""
    tables = {match for path, text in tree.items()
              if path.startswith("server/http/") and path.endswith(".c")
              for match in ROUTE.findall(text)}
    documents = {"proto/openapi.yaml": set(contract_routes(tree)),
                 "README.md": set(README_ROUTE.findall(tree.get("README.md", "")))}
    for name, routes in documents.items():
        for method, path in sorted(tables - routes):
            yield f"{name}: the route {method} {path} is missing"
        for method, path in sorted(routes - tables):
            yield f"{name}: the daemon has no route {method} {path}"


def rule_operations(tree):
    """A route's operation is the operationId of the contract."""
    contract = contract_routes(tree)
    for path, text in tree.items():
        if not (path.startswith("server/http/") and is_c(path)):
            continue
        for match in ROUTE.finditer(text):
            operation = contract.get(match.groups())
            entry = text[match.start():match.end() + 400]
            if operation and f'"{operation}"' not in entry:
                yield f"{path}: {match[1]} {match[2]} is {operation} in proto/openapi.yaml"


def rule_references(tree):
    """What openapi.yaml refers to is there, and what stands there is referred to."""
    import yaml
    text = tree.get("proto/openapi.yaml", "")
    wanted = set(re.findall(r"#/components/(\w+)/(\w+)", text))
    components = (yaml.safe_load(text) or {}).get("components", {})
    there = {(kind, name) for kind, names in components.items() for name in names}
    for kind, name in sorted(wanted ^ there):
        yield f"proto/openapi.yaml: {kind}/{name} is " + (
            "missing" if (kind, name) in wanted else "used nowhere")


def rule_settings(tree):
    """Every option and environment variable of the daemon is in the README."""
    readme = tree.get("README.md", "")
    for option in re.findall(r'"(--[a-z-]+|ADVECTD_[A-Z_]+)"', tree.get("config/config.c", "")):
        if f"`{option}" not in readme:
            yield f"README.md: the option {option} of config/config.c is missing"


RULES = [
    rule_markers, rule_no_machine, rule_fast_math, rule_listed_in_meson, rule_unit_tests_counted,
    rule_changelog, rule_links, rule_dockerfile, rule_routes, rule_operations,
    rule_references, rule_settings,
]
