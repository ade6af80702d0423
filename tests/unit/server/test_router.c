#include "server/http/guard.h"
#include "server/http/listener.h"
#include "server/http/router.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct route models[] = {
    {.method = "GET", .path = "/models", .operation = "list"},
    {.method = "GET", .path = "/models/{name}", .operation = "describe"},
    {.method = "PUT", .path = "/models/{name}", .operation = "upload"},
    {.method = "GET", .path = "/models/{name}/checkpoint", .operation = "download"},
    {.method = "GET", .path = "/a/{one}/b/{two}", .operation = "pair"},
};
static const size_t model_count = sizeof models / sizeof *models;
static const struct route root_route[] = {{.method = "GET", .path = "/", .operation = "root"}};
static const size_t root_count = 1;
static const struct route_set sets[] = {{models, &model_count}, {root_route, &root_count}};

static struct route_match match(const char *method, const char *path)
{
    struct route_match out;
    router_match(&out, sets, 2, method, path, strlen(path));
    return out;
}

static const char *operation(const char *method, const char *path)
{
    struct route_match out = match(method, path);
    return out.route ? out.route->operation : "";
}

START_TEST(paths_find_their_routes)
{
    ck_assert_str_eq(operation("GET", "/models"), "list");
    ck_assert_str_eq(operation("GET", "/models/moons"), "describe");
    ck_assert_str_eq(operation("PUT", "/models/moons"), "upload");
    ck_assert_str_eq(operation("HEAD", "/models/moons/checkpoint"), "download");
    ck_assert_str_eq(operation("GET", "/"), "root");
    ck_assert_str_eq(match("GET", "/models/moons").params[0], "moons");
}
END_TEST

START_TEST(other_paths_find_nothing)
{
    static const char *const none[] = {"",
                                       "/model",
                                       "/models/",
                                       "/modelsx",
                                       "/models//",
                                       "/models/a/",
                                       "/models/a/checkpoint/x",
                                       "/models/a/checkpointx",
                                       "//models",
                                       "/models//checkpoint",
                                       "/Models"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct route_match out = match("GET", none[i]);
        ck_assert_msg(!out.route && !out.path_known, "%s", none[i]);
    }
}
END_TEST

START_TEST(a_known_path_names_its_methods)
{
    struct route_match out = match("DELETE", "/models/moons");
    ck_assert_ptr_null(out.route);
    ck_assert(out.path_known);
    ck_assert_str_eq(out.allow, "GET, HEAD, PUT, OPTIONS");
    ck_assert_str_eq(match("PUT", "/").allow, "GET, HEAD, OPTIONS");
}
END_TEST

START_TEST(segments_are_decoded_after_they_are_split)
{
    struct route_match out = match("GET", "/a/x%2Fy%20z/b/%C3%a9+");
    ck_assert_ptr_nonnull(out.route);
    ck_assert_str_eq(out.params[0], "x/y z");
    ck_assert_str_eq(out.params[1], "\xc3\xa9+");
    ck_assert_str_eq(match("GET", "/models/..%2f..").params[0], "../..");
}
END_TEST

START_TEST(a_segment_longer_than_any_name_is_not_found)
{
    char path[400] = "/models/";
    memset(path + 8, 'a', ROUTER_PARAM - 1);
    ck_assert_ptr_nonnull(match("GET", path).route);
    memset(path + 8, 'a', ROUTER_PARAM);
    ck_assert_ptr_null(match("GET", path).route);
}
END_TEST

START_TEST(decoding_keeps_what_is_not_an_escape)
{
    char out[8];
    ck_assert_uint_eq(router_decode(out, sizeof out, "a%2", 3, false), 3);
    ck_assert_str_eq(out, "a%2");
    ck_assert_uint_eq(router_decode(out, sizeof out, "%zz+", 4, true), 4);
    ck_assert_str_eq(out, "%zz ");
    ck_assert_uint_eq(router_decode(out, sizeof out, "1234567", 7, false), 7);
    ck_assert_uint_eq(router_decode(out, sizeof out, "12345678", 8, false), sizeof out);
}
END_TEST

START_TEST(media_types_are_compared_without_parameters_or_case)
{
    ck_assert(router_type_accepted("text/csv, application/x-npy", "application/x-npy"));
    ck_assert(router_type_accepted("text/csv,application/x-npy", "Text/CSV; charset=utf-8"));
    ck_assert(!router_type_accepted("text/csv", "text/csvx"));
    ck_assert(!router_type_accepted("text/csv", "text"));
    ck_assert(!router_type_accepted("text/csv", ""));
}
END_TEST

#define HEADER(name, value)                                                                        \
    {                                                                                              \
        name, value, sizeof name - 1, sizeof value - 1                                             \
    }

static int guard(const struct header *headers, size_t count, struct framing *framing)
{
    struct err err = {0};
    int code = guard_headers(framing, headers, count, true, &err);
    ck_assert_int_eq(code, err.code);
    return code;
}

START_TEST(framing_is_read_from_the_headers)
{
    struct framing framing;
    const struct header none[] = {HEADER("Host", "a")};
    const struct header empty[] = {HEADER("Host", "a"), HEADER("content-length", "0")};
    const struct header some[] = {HEADER("Host", "a"), HEADER("Content-Length", "0012")};
    const struct header chunked[] = {HEADER("Host", "a"), HEADER("Transfer-Encoding", "Chunked")};
    ck_assert_int_eq(guard(none, 1, &framing), 0);
    ck_assert(!framing.has_body);
    ck_assert_int_eq(guard(empty, 2, &framing), 0);
    ck_assert(!framing.has_body);
    ck_assert_int_eq(guard(some, 2, &framing), 0);
    ck_assert(framing.has_body && framing.length == 12);
    ck_assert_int_eq(guard(chunked, 2, &framing), 0);
    ck_assert(framing.has_body && framing.chunked && framing.length == 0);
}
END_TEST

START_TEST(headers_that_two_parsers_could_read_differently_are_refused)
{
    static const struct header cases[][2] = {
        {HEADER("Content-Length", "18446744073709551616"), HEADER("Host", "a")},
        {HEADER("Content-Length", "1 "), HEADER("Host", "a")},
        {HEADER("Content-Length", ""), HEADER("Host", "a")},
        {HEADER("Content-Length", "0x1"), HEADER("Host", "a")},
        {HEADER("Transfer-Encoding", "chunked, chunked"), HEADER("Host", "a")},
        {HEADER("Transfer-Encoding", "chunked\0x"), HEADER("Host", "a")},
        {HEADER("Transfer-Encoding ", "chunked"), HEADER("Host", "a")},
        {HEADER("X\0", "1"), HEADER("Host", "a")},
        {HEADER("", "1"), HEADER("Host", "a")},
        {HEADER("X", "a\nb"), HEADER("Host", "a")},
        {HEADER("X", "a\0b"), HEADER("Host", "a")},
        {HEADER("Host", "a"), HEADER("host", "a")},
    };
    struct framing framing;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(guard(cases[i], 2, &framing) == ERR_MALFORMED, "case %zu", i);
    ck_assert_int_eq(guard(cases[0], 0, &framing), ERR_MALFORMED);
    const struct header gzip[] = {HEADER("Host", "a"), HEADER("Content-Encoding", "gzip")};
    ck_assert_int_eq(guard(gzip, 2, &framing), ERR_UNSUPPORTED);
}
END_TEST

START_TEST(targets_are_plain_origin_form)
{
    ck_assert_int_eq(guard_target("/a?b=%2F&c=~", NULL), 0);
    static const char *const bad[] = {"",   "a",   "*",    "/ ",   "/\x7f",  "/\xc3\xa9",
                                      "/%", "/%1", "/%0g", "/%00", "/a?%00", "http://127.0.0.1/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(guard_target(bad[i], NULL) == ERR_MALFORMED, "%s", bad[i]);
}
END_TEST

START_TEST(only_numeric_addresses_are_listened_on)
{
    static const char *const good[] = {"127.0.0.1:0", "0.0.0.0:65535", "[::1]:8080",
                                       "localhost:80"};
    static const char *const bad[] = {
        "",       "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",  ":80",           "127.0.0.1:-1",
        "::1:80", "[::1]",     "a.b:80",     "127.0.0.1:000080", "[127.0.0.1]:1", "1:1"};
    struct sockaddr_storage address;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(listener_parse(&address, good[i], NULL) == 0, "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(listener_parse(&address, bad[i], NULL) == ERR_INVALID, "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("router");
    TCase *tests = tcase_create("router");
    tcase_add_test(tests, paths_find_their_routes);
    tcase_add_test(tests, other_paths_find_nothing);
    tcase_add_test(tests, a_known_path_names_its_methods);
    tcase_add_test(tests, segments_are_decoded_after_they_are_split);
    tcase_add_test(tests, a_segment_longer_than_any_name_is_not_found);
    tcase_add_test(tests, decoding_keeps_what_is_not_an_escape);
    tcase_add_test(tests, media_types_are_compared_without_parameters_or_case);
    tcase_add_test(tests, framing_is_read_from_the_headers);
    tcase_add_test(tests, headers_that_two_parsers_could_read_differently_are_refused);
    tcase_add_test(tests, targets_are_plain_origin_form);
    tcase_add_test(tests, only_numeric_addresses_are_listened_on);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
