#include "config/limits.h"
#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/json_text.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

static struct json_doc *doc;
static struct err err;

static struct json parsed(const char *text)
{
    json_free(doc);
    doc = NULL;
    err = (struct err){0};
    ck_assert_int_eq(json_parse(&doc, text, strlen(text), LIMIT_JSON_BYTES, &err), 0);
    return json_root(doc);
}

static void teardown(void)
{
    json_free(doc);
    doc = NULL;
}

/* What the last call should have said. */
static void assert_error(enum err_code code, const char *where, const char *message)
{
    ck_assert_int_eq(err.code, code);
    ck_assert_str_eq(err.where, where);
    ck_assert_str_eq(err.message, message);
    err = (struct err){0};
}

static void assert_unparsable(const char *text, size_t size, const char *place, const char *message)
{
    err = (struct err){0};
    struct json_doc *none = NULL;
    ck_assert_msg(json_parse(&none, text, size, 10000, &err) == ERR_INVALID_JSON, "%s", text);
    ck_assert_ptr_null(none);
    assert_error(ERR_INVALID_JSON, place, message);
}

START_TEST(broken_text_is_refused_with_its_place)
{
    static const struct {
        const char *text, *place, *message;
    } cases[] = {
        {"", "", "the text is empty; a JSON value is expected"},
        {" \r\n\t", "", "the text is empty; a JSON value is expected"},
        {"{\"a\": 1", "line 1, column 7", "the text ends in the middle of a value"},
        {"{\"a\":\n 1,}", "line 2, column 4", "the text is not JSON here"},
        {"{'a': 1}", "line 1, column 2", "the text is not JSON here"},
        {"[1] 2", "line 1, column 5", "something follows the end of the value"},
        {"[NaN]", "line 1, column 4", "the text is not JSON here"},
        {"[Infinity]", "line 1, column 9", "the text is not JSON here"},
        {"[01]", "line 1, column 2", "the text is not JSON here"},
        {"{\"a\":1,\"a\":2}", "line 1, column 10", "an object has the same key twice"},
        {"[\"\\u0000\"]", "line 1, column 9", "\\u0000 is not allowed in strings"},
        {"{\"\\u0000\":1}", "line 1, column 9", "\\u0000 is not allowed in strings"},
        {"[\"\xff\"]", "line 1, column 2", "the text is not valid UTF-8"},
        {"[9223372036854775808]", "line 1, column 20",
         "a number is too large: integers go up to 2^63 - 1 and reals to 1.79e308 (a seed above "
         "2^53 - 1 is written as a string)"},
        {"[1e999]", "line 1, column 6",
         "a number is too large: integers go up to 2^63 - 1 and reals to 1.79e308 (a seed above "
         "2^53 - 1 is written as a string)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_unparsable(cases[i].text, strlen(cases[i].text), cases[i].place, cases[i].message);
    assert_unparsable("[1\0]", 4, "line 1, column 3", "the text holds a NUL byte");
    assert_unparsable("[\"\\\0\"]", 6, "line 1, column 4", "the text is not JSON here");
}
END_TEST

START_TEST(depth_is_bounded_before_the_parser_recurses)
{
    char text[3001];
    memset(text, '[', 3000);
    assert_unparsable(text, 3000, "line 1, column 33", "values nest deeper than 32 levels");
    memset(text + LIMIT_JSON_DEPTH, ']', LIMIT_JSON_DEPTH);
    text[2 * LIMIT_JSON_DEPTH] = '\0';
    ck_assert_uint_eq(json_length(parsed(text)), 1);
    parsed("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"]");
    memset(text, '\n', 100);
    memset(text + 100, '{', 100);
    assert_unparsable(text, 200, "line 101, column 33", "values nest deeper than 32 levels");
}
END_TEST

START_TEST(a_long_text_is_taken_whole)
{
    enum { SIZE = 1 << 20 };
    char *text = mem_alloc(SIZE, 1);
    const char *string = NULL;
    struct json_doc *large = NULL;
    memset(text, 'x', SIZE);
    text[0] = '"';
    text[SIZE - 1] = '"';
    ck_assert_int_eq(json_parse(&large, text, SIZE, SIZE, &err), 0);
    ck_assert_int_eq(json_read_text(json_root(large), SIZE, &string, &err), 0);
    ck_assert_uint_eq(strlen(string), SIZE - 2);
    json_free(large);
    mem_free(text);
}
END_TEST

START_TEST(a_text_over_the_limit_is_refused)
{
    struct json_doc *none = NULL;
    err = (struct err){0};
    ck_assert_int_eq(json_parse(&none, "[1,2]", 5, 4, &err), ERR_TOO_LARGE);
    assert_error(ERR_TOO_LARGE, "", "the JSON text may have at most 4 bytes, got 5");
}
END_TEST

START_TEST(pointers_are_escaped_and_stop_where_there_is_no_room)
{
    struct json root = parsed("{\"a/b\":{\"~\":[1]}}");
    struct json item = json_at(json_get(json_get(root, "a/b"), "~"), 0);
    ck_assert_str_eq(item.pointer, "/a~1b/~0/0");
    ck_assert(json_is_integer(item));
    char key[200];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    ck_assert_str_eq(json_get(item, key).pointer, "/a~1b/~0/0");
    key[158] = '\0';
    struct json full = json_get(root, key);
    ck_assert_uint_eq(strlen(full.pointer), 159);
    ck_assert_str_eq(json_get(full, "a").pointer, full.pointer);
    ck_assert_str_eq(json_at(full, 0).pointer, full.pointer);
    memset(key, '~', 158);
    ck_assert_str_eq(json_get(root, key).pointer, "");
}
END_TEST

START_TEST(absent_and_null_are_not_present)
{
    struct json root = parsed("{\"a\":null,\"b\":false}");
    ck_assert(!json_present(json_get(root, "a")));
    ck_assert(json_present(json_get(root, "b")));
    ck_assert(!json_present(json_get(root, "c")));
    ck_assert(!json_present(json_get(json_get(root, "b"), "c")));
    ck_assert(!json_present(json_at(root, 0)));
    ck_assert_uint_eq(json_length(json_get(root, "b")), 0);
}
END_TEST

START_TEST(keys_are_walked_in_order)
{
    struct json root = parsed("{\"b\":1,\"a\":2}");
    void *at = NULL;
    const char *key = NULL;
    ck_assert(json_next(root, &at, &key));
    ck_assert_str_eq(key, "b");
    ck_assert(json_next(root, &at, &key));
    ck_assert_str_eq(key, "a");
    ck_assert(!json_next(root, &at, &key));
    at = NULL;
    ck_assert(!json_next(json_get(root, "a"), &at, &key));
}
END_TEST

START_TEST(unknown_fields_are_named_with_what_was_meant)
{
    static const char *const known[] = {"solver", "t0", "steps", NULL};
    ck_assert_int_eq(json_object_check(parsed("{\"solver\":1,\"t0\":2}"), known, &err), 0);
    json_object_check(parsed("{\"sovler\":1}"), known, &err);
    assert_error(ERR_INVALID, "/sovler", "unknown field; did you mean solver?");
    json_object_check(parsed("{\"step\":1}"), known, &err);
    assert_error(ERR_INVALID, "/step", "unknown field; did you mean steps?");
    json_object_check(parsed("{\"condition\":1}"), known, &err);
    assert_error(ERR_INVALID, "/condition", "unknown field; known are solver, t0, steps");
    json_object_check(parsed("{\"\":1}"), known, &err);
    assert_error(ERR_INVALID, "/", "unknown field; known are solver, t0, steps");
    json_object_check(parsed("[1]"), known, &err);
    assert_error(ERR_INVALID, "", "must be an object, not an array");
    json_object_check(json_get(parsed("{}"), "time"), known, &err);
    assert_error(ERR_INVALID, "/time", "is required");
}
END_TEST

START_TEST(a_long_list_of_known_fields_is_cut)
{
    static const char *const known[] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                                        "cccccccccccccccccccccccccccccccccccccccc",
                                        "dddddddddddddddddddddddddddddddddddddddd",
                                        "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
                                        "ffffffffffffffffffffffffffffffffffffffff",
                                        "gggggggggggggggggggggggggggggggggggggggg",
                                        "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh",
                                        NULL};
    json_object_check(parsed("{\"zzz\":1}"), known, &err);
    ck_assert_uint_lt(strlen(err.message), 300);
    ck_assert_ptr_nonnull(strstr(err.message, "known are aaaa"));
}
END_TEST

static int read_integer(const char *text)
{
    int64_t value = -7;
    int code = json_read_integer(json_get(parsed(text), "n"), 1, 100000000, &value, &err);
    ck_assert((code == 0) == (value != -7));
    return code;
}

START_TEST(integers_are_checked_for_type_and_range)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{}", "is required"},
        {"{\"n\":null}", "must be an integer, not null"},
        {"{\"n\":\"1\"}", "must be an integer, not a string"},
        {"{\"n\":true}", "must be an integer, not a boolean"},
        {"{\"n\":[]}", "must be an integer, not an array"},
        {"{\"n\":{}}", "must be an integer, not an object"},
        {"{\"n\":0}", "must be between 1 and 100000000, got 0"},
        {"{\"n\":-9223372036854775808}",
         "must be between 1 and 100000000, got -9223372036854775808"},
        {"{\"n\":9223372036854775807}", "must be between 1 and 100000000, got 9223372036854775807"},
        {"{\"n\":1e12}", "must be between 1 and 100000000, got 1000000000000"},
        {"{\"n\":1e308}", "must be between 1 and 100000000, got 1e+308"},
        {"{\"n\":1e-400}", "must be between 1 and 100000000, got 0"},
        {"{\"n\":2.5}", "must be an integer, written without point or exponent, got 2.5"},
        {"{\"n\":3.0}", "must be an integer, written without point or exponent, got 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(read_integer(cases[i].text), ERR_INVALID);
        assert_error(ERR_INVALID, "/n", cases[i].message);
    }
    ck_assert_int_eq(read_integer("{\"n\":1}"), 0);
    ck_assert_int_eq(read_integer("{\"n\":100000000}"), 0);
}
END_TEST

START_TEST(numbers_are_checked_for_type_and_range)
{
    double value = -7;
    ck_assert_int_eq(json_read_number(json_get(parsed("{\"n\":1}"), "n"), 0, 1, &value, &err), 0);
    ck_assert(value == 1);
    json_read_number(json_get(parsed("{\"n\":1.5}"), "n"), 0, 1, &value, &err);
    assert_error(ERR_INVALID, "/n", "must be between 0 and 1, got 1.5");
    json_read_number(json_get(parsed("{\"n\":-2}"), "n"), 0, INFINITY, &value, &err);
    assert_error(ERR_INVALID, "/n", "must be at least 0, got -2");
    json_read_number(json_get(parsed("{\"n\":\"x\"}"), "n"), 0, 1, &value, &err);
    assert_error(ERR_INVALID, "/n", "must be a number, not a string");
    ck_assert(value == 1);
    ck_assert_int_eq(json_read_number(json_get(parsed("{\"n\":-0.0}"), "n"), 0, 1, &value, &err),
                     0);
    ck_assert(!signbit(value));
}
END_TEST

START_TEST(booleans_and_strings_are_checked)
{
    bool flag = false;
    const char *text = NULL;
    ck_assert_int_eq(json_read_boolean(json_at(parsed("[true]"), 0), &flag, &err), 0);
    ck_assert(flag);
    json_read_boolean(json_at(parsed("[1]"), 0), &flag, &err);
    assert_error(ERR_INVALID, "/0", "must be true or false, not a number");
    ck_assert_int_eq(json_read_string(json_at(parsed("[\"abc\"]"), 0), 3, &text, &err), 0);
    ck_assert_str_eq(text, "abc");
    json_read_string(json_at(parsed("[\"abcd\"]"), 0), 3, &text, &err);
    assert_error(ERR_INVALID, "/0", "may have at most 3 bytes, got 4");
    json_read_string(json_at(parsed("[\"a\\nb\"]"), 0), 3, &text, &err);
    assert_error(ERR_INVALID, "/0", "may not hold control characters");
    json_read_string(json_at(parsed("[2]"), 0), 3, &text, &err);
    assert_error(ERR_INVALID, "/0", "must be a string, not a number");
}
END_TEST

START_TEST(names_are_those_of_the_house)
{
    static const char *const bad[] = {"",    "A",    "-a",   "_a",  "a.b",     "../a",
                                      "a/b", "a%2e", "a\\n", "a b", "\xc3\xa9"};
    char text[200], name[LIMIT_NAME + 1];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "[\"%s\"]", bad[i]);
        ck_assert_int_eq(json_read_name(json_at(parsed(text), 0), name, &err), ERR_INVALID);
        assert_error(ERR_INVALID, "/0",
                     "must be a name: 1 to 64 of a-z, 0-9, - and _, a letter or digit first");
    }
    snprintf(text, sizeof text, "[\"%064d\"]", 7);
    ck_assert_int_eq(json_read_name(json_at(parsed(text), 0), name, &err), 0);
    ck_assert_uint_eq(strlen(name), 64);
    snprintf(text, sizeof text, "[\"%065d\"]", 7);
    ck_assert_int_eq(json_read_name(json_at(parsed(text), 0), name, &err), ERR_INVALID);
    json_read_name(json_at(parsed("[7]"), 0), name, &err);
    ck_assert(json_name_valid("moons-2_b"));
}
END_TEST

START_TEST(seeds_are_integers_or_decimal_strings)
{
    static const char *const bad[] = {
        "-1",     "9007199254740992",         "1.5",  "\"\"", "\"-1\"",
        "\"1a\"", "\"18446744073709551616\"", "true", "null", "[]"};
    char text[64];
    uint64_t seed = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "[%s]", bad[i]);
        ck_assert_int_eq(json_read_seed(json_at(parsed(text), 0), &seed, &err), ERR_INVALID);
        assert_error(ERR_INVALID, "/0",
                     "must be an integer from 0 to 9007199254740991, or a string of decimal digits "
                     "up to \"18446744073709551615\"");
    }
    json_read_seed(json_get(parsed("{}"), "seed"), &seed, &err);
    assert_error(ERR_INVALID, "/seed", "is required");
    ck_assert_int_eq(json_read_seed(json_at(parsed("[9007199254740991]"), 0), &seed, &err), 0);
    ck_assert_uint_eq(seed, (UINT64_C(1) << 53) - 1);
    ck_assert_int_eq(json_read_seed(json_at(parsed("[\"18446744073709551615\"]"), 0), &seed, &err),
                     0);
    ck_assert_uint_eq(seed, UINT64_MAX);
}
END_TEST

static int read_matrix(const char *text)
{
    float *cells = NULL;
    size_t rows, cols;
    int code = json_read_matrix(json_get(parsed(text), "x0"), 3, 2, &cells, &rows, &cols, &err);
    mem_free(cells);
    return code;
}

START_TEST(matrices_are_rectangular_and_finite)
{
    static const struct {
        const char *text, *where, *message;
    } cases[] = {
        {"{}", "/x0", "is required"},
        {"{\"x0\":1}", "/x0", "must be an array, not a number"},
        {"{\"x0\":[]}", "/x0", "must have between 1 and 3 rows, got 0"},
        {"{\"x0\":[[1],[1],[1],[1]]}", "/x0", "must have between 1 and 3 rows, got 4"},
        {"{\"x0\":[1]}", "/x0/0", "must be an array, not a number"},
        {"{\"x0\":[[]]}", "/x0/0", "must have between 1 and 2 numbers, got 0"},
        {"{\"x0\":[[1,2,3]]}", "/x0/0", "must have between 1 and 2 numbers, got 3"},
        {"{\"x0\":[[1,2],[3]]}", "/x0/1", "must have 2 numbers like the first row, got 1"},
        {"{\"x0\":[[1,2],{}]}", "/x0/1", "must be an array of numbers, not an object"},
        {"{\"x0\":[[1,null]]}", "/x0/0/1", "must be a number, not null"},
        {"{\"x0\":[[1,2],[3,-1e39]]}", "/x0/1/1",
         "must be a number of at most 3.4e38 in size, got -1e+39"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(read_matrix(cases[i].text), ERR_INVALID);
        assert_error(ERR_INVALID, cases[i].where, cases[i].message);
    }
    float *cells;
    size_t rows, cols;
    struct json value = parsed("[[1,2.5],[-3,1e38]]");
    ck_assert_int_eq(json_read_matrix(value, 3, 2, &cells, &rows, &cols, &err), 0);
    ck_assert_uint_eq(rows, 2);
    ck_assert_uint_eq(cols, 2);
    ck_assert(cells[1] == 2.5f && cells[2] == -3.0f && cells[3] == 1e38f);
    mem_free(cells);
}
END_TEST

START_TEST(vectors_hold_numbers)
{
    double *numbers = NULL;
    size_t count = 0;
    ck_assert_int_eq(json_read_vector(parsed("[0,0.5,1]"), 3, &numbers, &count, &err), 0);
    ck_assert_uint_eq(count, 3);
    ck_assert(numbers[1] == 0.5);
    mem_free(numbers);
    json_read_vector(parsed("[0,1]"), 1, &numbers, &count, &err);
    assert_error(ERR_INVALID, "", "must have between 1 and 1 numbers, got 2");
    json_read_vector(parsed("[0,\"1\"]"), 2, &numbers, &count, &err);
    assert_error(ERR_INVALID, "/1", "must be a number, not a string");
}
END_TEST

START_TEST(a_value_is_written_back_compactly)
{
    struct buf out;
    buf_init(&out, 1000);
    const char *text = "{\"a\":[1,-2.5,\"\xc3\xa9\\n\",true,false,null],\"b\":{}}";
    ck_assert_int_eq(json_dump(parsed(text), &out), 0);
    ck_assert_uint_eq(out.size, strlen(text));
    ck_assert_mem_eq(out.data, text, out.size);
    ck_assert_int_eq(json_dump(json_get(json_root(doc), "none"), &out), 0);
    buf_release(&out);
}
END_TEST

START_TEST(every_failed_allocation_is_reported)
{
    char text[6000] = "[\"";
    memset(text + 2, 'x', 5000);
    snprintf(text + 5002, 100, "\", {\"key\": 1}]");
    size_t failures = 0;
    for (int code = ERR_NOMEM; code == ERR_NOMEM; failures++) {
        struct json_doc *tree = NULL;
        err = (struct err){0};
        mem_fail_after(failures);
        code = json_parse(&tree, text, strlen(text), sizeof text, &err);
        mem_fail_after(SIZE_MAX);
        ck_assert_int_eq(err.code, code);
        ck_assert((code == 0) == (tree != NULL));
        json_free(tree);
    }
    ck_assert_uint_ge(failures, 4);
    float *cells;
    double *numbers;
    size_t rows, cols;
    struct json value = parsed("[[1]]");
    mem_fail_after(0);
    ck_assert_int_eq(json_read_matrix(value, 1, 1, &cells, &rows, &cols, &err), ERR_NOMEM);
    mem_fail_after(0);
    err = (struct err){0};
    ck_assert_int_eq(json_read_vector(json_at(value, 0), 1, &numbers, &rows, &err), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
}
END_TEST

int main(void)
{
    json_start();
    Suite *suite = suite_create("json");
    TCase *tests = tcase_create("json");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, broken_text_is_refused_with_its_place);
    tcase_add_test(tests, depth_is_bounded_before_the_parser_recurses);
    tcase_add_test(tests, a_long_text_is_taken_whole);
    tcase_add_test(tests, a_text_over_the_limit_is_refused);
    tcase_add_test(tests, pointers_are_escaped_and_stop_where_there_is_no_room);
    tcase_add_test(tests, absent_and_null_are_not_present);
    tcase_add_test(tests, keys_are_walked_in_order);
    tcase_add_test(tests, unknown_fields_are_named_with_what_was_meant);
    tcase_add_test(tests, a_long_list_of_known_fields_is_cut);
    tcase_add_test(tests, integers_are_checked_for_type_and_range);
    tcase_add_test(tests, numbers_are_checked_for_type_and_range);
    tcase_add_test(tests, booleans_and_strings_are_checked);
    tcase_add_test(tests, names_are_those_of_the_house);
    tcase_add_test(tests, seeds_are_integers_or_decimal_strings);
    tcase_add_test(tests, matrices_are_rectangular_and_finite);
    tcase_add_test(tests, vectors_hold_numbers);
    tcase_add_test(tests, a_value_is_written_back_compactly);
    tcase_add_test(tests, every_failed_allocation_is_reported);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
