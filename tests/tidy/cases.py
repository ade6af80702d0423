"""Small trees that break each rule, and some that a rule must leave alone."""
LONG_FUNCTION = "int x_long(void)\n{\n" + "    x_step();\n" * 67 + "    return 0;\n}\n"
WIDE = "int " + "x" * 100 + ";\n"
OPENAPI = "paths:\n  /livez:\n    get:\n      operationId: livez\n"
ROUTES = 'static const struct route routes[] = {\n    {"GET", "/livez", 0, 0, NULL, "livez"},\n};\n'
README = "| `GET /livez` | alive |\n"
DOCKERFILE = """FROM debian:12-slim AS build
RUN apt-get install gcc
FROM debian:12-slim
COPY --from=build /out /usr
USER 65532:65532
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["/usr/bin/advectd", "--healthcheck"]
ENTRYPOINT ["/usr/bin/advectd"]
"""
PACKAGES = {"scripts/common.sh": "BUILD_PACKAGES=(gcc)\n"}


def docker(old="", new=""):
    return {"Dockerfile": DOCKERFILE.replace(old, new), **PACKAGES}


def routes(tables=ROUTES, contract=OPENAPI, readme=README):
    return {"server/http/x.c": tables, "proto/openapi.yaml": contract, "README.md": readme}


def include(path, *targets):
    return {path: "".join(f"#include {target}\n" for target in targets)}


def marker(*halves):
    return {"core/base/x.c": f"/* {''.join(halves)} */\n"}


BAD = {
    "rule_floors": [
        include("core/base/x.c", '"core/net/net.h"'),
        include("core/table/x.c", '"core/linalg/mat.h"'),
        include("core/flow/x.h", '"core/train/trainer.h"'),
        include("proto/x.c", '"server/app.h"'),
        include("server/http/x.c", '"config/config.h"'),
        include("core/net/x.c", '"net.h"'),
    ],
    "rule_foreign_headers": [
        include("proto/csv.c", "<jansson.h>"),
        include("server/http/jobs.c", "<microhttpd.h>"),
        include("core/train/x.c", "<cblas.h>"),
        include("server/store/models.c", "<sqlite3.h>"),
        include("proto/x.c", "<nettle/sha2.h>"),
        include("proto/torch_file.c", "<zip.h>"),
    ],
    "rule_pure_floors": [
        include("core/net/x.c", "<pthread.h>"),
        include("proto/x.c", "<sys/socket.h>"),
        {"core/net/x.c": 'void x(void)\n{\n    fopen("a", "r");\n}\n'},
    ],
    "rule_own_header_first": [
        {**include("proto/x.c", "<stdio.h>", '"proto/x.h"'), "proto/x.h": ""},
    ],
    "rule_file_lengths": [
        {"proto/x.c": "\n" * 601}, {"proto/x.h": "\n" * 201}, {"tests/unit/x.c": "\n" * 801},
        {"scripts/run": "\n" * 601},
    ],
    "rule_columns": [{"proto/x.c": WIDE}, {"scripts/run": WIDE}],
    "rule_whitespace": [
        {"proto/x.c": "int x; \n"}, {"proto/x.c": "int x;"}, {"proto/x.c": "\tint x;\n"},
        {"proto/x.c": "int x;\r\n"},
    ],
    "rule_function_lengths": [{"proto/x.c": LONG_FUNCTION}],
    "rule_parameters": [
        {"proto/x.c": "int x(int a, int b, int c, int d, int e, int f, int g)\n{\n}\n"},
        {"proto/x.h": "int x(int a, int b, int c, int d, int e, int f, int g);\n"},
    ],
    "rule_prefixes": [
        {"proto/csv.c": "int write_csv(void)\n{\n    return 0;\n}\n"},
        {"proto/csv.c": "int csvwrite(void)\n{\n    return 0;\n}\n"},
    ],
    "rule_banned_calls": [
        {"proto/x.c": "void x(char *a)\n{\n    strcpy(a, a);\n}\n"},
        {"tests/unit/x.c": "void x(void)\n{\n    assert(1);\n}\n"},
    ],
    "rule_heap_calls": [{"server/x.c": "void x(void)\n{\n    malloc(1);\n}\n"}],
    "rule_header_guards": [{"proto/x.h": "#ifndef X_H\n#define X_H\n#endif\n"}],
    "rule_headers_stand_alone": [{"proto/x.h": "size_t x(void);\n"}],
    "rule_python": [
        {"tests/x.py": "#!/usr/bin/env python3\n"}, {"tests/x.py": "import torch\n"},
        {"tests/x.py": 'if __name__ == "__main__":\n    pass\n'},
    ],
    "rule_markers": [
        marker("TO", "DO: later"), marker("fix", "me"), marker("a st", "ub"),
        marker("not imple", "mented"),
    ],
    "rule_no_machine": [
        {"scripts/run": "cd /ro" + "ot/x\n"}, {"README.md": "see /ho" + "me/me/x\n"},
        {"Dockerfile": "RUN curl https://elsewhere.net/x\n"},
    ],
    "rule_fast_math": [{"meson.build": "args = ['-ffast" + "-math']\n"}],
    "rule_listed_in_meson": [
        {"proto/x.c": "", "proto/meson.build": "static_library('proto', 'y.c')\n"},
        {"tests/unit/proto/test_x.c": "", "tests/unit/proto/meson.build": "foreach n : ['y']\n"},
        {"tests/service/test_x.py": "", "tests/service/meson.build": ""},
    ],
    "rule_unit_tests_counted": [{"tests/unit/proto/test_x.c": "int main(void)\n{\n}\n"}],
    "rule_changelog": [{}, {"CHANGELOG.md": "# Changes\n\n## Unreleased\n\n## 0.1\n"}],
    "rule_links": [{"README.md": "[x](x.md)\n"}],
    "rule_dockerfile": [
        {},
        docker("USER 65532:65532\n"), docker("65532:65532", "0:0"),
        docker("debian:12-slim", "debian:latest"), docker("debian:12-slim", "debian"),
        docker("COPY --from=build /out", "ADD https://elsewhere.net/x"),
        docker("STOPSIGNAL SIGTERM\n"), docker('["/usr/bin/advectd"]', "/usr/bin/advectd"),
        docker('CMD ["/usr/bin/advectd", "--healthcheck"]', "NONE"),
        docker("install gcc", "install g++"),
    ],
    "rule_routes": [
        routes(contract="paths: {}\n"), routes(readme="no routes\n"), routes(tables=""),
        routes(readme=README + "| `PUT /livez` | no |\n"),
    ],
    "rule_operations": [routes(contract=OPENAPI.replace("Id: livez", "Id: alive"))],
    "rule_references": [
        {"proto/openapi.yaml": 'x: {$ref: "#/components/schemas/A"}\n'},
        {"proto/openapi.yaml": "components: {schemas: {A: {}}}\n"},
    ],
    "rule_settings": [{"config/config.c": 'TEXT("--listen", "ADVECTD_LISTEN")\n',
                       "README.md": "| `--listen ADDRESS` |\n"}],
}

GOOD = {
    "rule_floors": [
        include("core/train/x.c", '"core/flow/field.h"', '"core/table/schema.h"',
                '"config/limits.h"', "<math.h>"),
        include("server/main.c", '"config/config.h"', '"server/app.h"'),
    ],
    "rule_foreign_headers": [include("proto/json.c", "<jansson.h>")],
    "rule_pure_floors": [{"core/net/x.c": "/* fopen(x) */\nint x = time_of(1);\n"}],
    "rule_function_lengths": [{"proto/x.c": LONG_FUNCTION.replace("    x_step();\n", "", 1)}],
    "rule_parameters": [{"proto/x.h": "int x(int a, void (*b)(int, int), int c, int d, int e);\n"}],
    "rule_prefixes": [
        {"proto/csv.c": "int csv_write(void)\n{\n    return 0;\n}\nstatic int go(void)\n{\n}\n"},
        {"proto/csv.c": "struct row *row_new(void)\n{\n}\n", "proto/csv.h": "struct row;\n"},
    ],
    "rule_banned_calls": [
        {"proto/x.c": "/* strcpy(a) */ char *a = \"rand()\"; int b = my_rand();\n"},
    ],
    "rule_heap_calls": [{"core/base/mem.c": "void x(void)\n{\n    free(0);\n}\n"},
                        {"proto/x.c": "void x(struct y *y)\n{\n    y->free(y);\n}\n"}],
    "rule_headers_stand_alone": [{"proto/x.h": "#include <stddef.h>\nsize_t x(void);\n"}],
    "rule_listed_in_meson": [
        {"tests/unit/proto/test_x.c": "", "tests/unit/proto/meson.build": "foreach n : ['x']\n"},
    ],
    "rule_changelog": [{"CHANGELOG.md": "# Changes\n\n## Unreleased\n\n### Added\n\n- All.\n"}],
    "rule_links": [{"README.md": "[x](x.md) [y](https://example.org)\n", "x.md": ""}],
    "rule_dockerfile": [docker()],
    "rule_routes": [routes()],
    "rule_operations": [routes()],
    "rule_settings": [{"config/config.c": 'TEXT("--listen")\n', "README.md": "`--listen A`\n"}],
}
