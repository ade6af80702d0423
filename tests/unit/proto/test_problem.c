#include "proto/problem.h"
#include "tests/unit/unit.h"

static void assert_problem(enum err_code code, const char *where, const char *expected)
{
    struct err err = {0};
    struct buf out;
    buf_init(&out, 4096);
    err_set(&err, code, where, "must be between 1 and 2, got 3");
    problem_write(&out, &err);
    buf_char(&out, '\0');
    ck_assert_str_eq(out.data, expected);
    buf_release(&out);
}

START_TEST(a_field_is_named_by_its_pointer)
{
    assert_problem(ERR_INVALID, "/count",
                   "{\"type\":\"urn:advectd:problem:invalid-request\","
                   "\"title\":\"The request cannot be carried out as it stands\",\"status\":422,"
                   "\"detail\":\"/count: must be between 1 and 2, got 3\","
                   "\"errors\":[{\"pointer\":\"/count\","
                   "\"detail\":\"must be between 1 and 2, got 3\"}]}");
}
END_TEST

START_TEST(a_body_as_a_whole_has_the_empty_pointer)
{
    assert_problem(ERR_INVALID, "",
                   "{\"type\":\"urn:advectd:problem:invalid-request\","
                   "\"title\":\"The request cannot be carried out as it stands\",\"status\":422,"
                   "\"detail\":\"must be between 1 and 2, got 3\",\"errors\":[{\"pointer\":\"\","
                   "\"detail\":\"must be between 1 and 2, got 3\"}]}");
}
END_TEST

START_TEST(a_place_in_a_file_is_a_place)
{
    assert_problem(ERR_FORMAT, "line 3, column 2",
                   "{\"type\":\"urn:advectd:problem:invalid-file\","
                   "\"title\":\"The file cannot be read\",\"status\":422,"
                   "\"detail\":\"line 3, column 2: must be between 1 and 2, got 3\","
                   "\"errors\":[{\"place\":\"line 3, column 2\","
                   "\"detail\":\"must be between 1 and 2, got 3\"}]}");
}
END_TEST

START_TEST(an_error_without_a_place_has_no_list)
{
    assert_problem(ERR_NOT_FOUND, "",
                   "{\"type\":\"urn:advectd:problem:not-found\","
                   "\"title\":\"There is no such thing\",\"status\":404,"
                   "\"detail\":\"must be between 1 and 2, got 3\"}");
}
END_TEST

START_TEST(every_code_has_a_status)
{
    static const int statuses[] = {400, 400, 422, 422, 404, 405, 406, 415, 413, 409,
                                   429, 504, 503, 409, 500, 507, 500, 503, 500};
    ck_assert_uint_eq(sizeof statuses / sizeof statuses[0], ERR_CODE_COUNT - 1);
    for (int code = 1; code < ERR_CODE_COUNT; code++)
        ck_assert_int_eq(problem_status((enum err_code)code), statuses[code - 1]);
    ck_assert_int_eq(problem_status((enum err_code)1000), 500);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("problem");
    TCase *tests = tcase_create("problem");
    tcase_add_test(tests, a_field_is_named_by_its_pointer);
    tcase_add_test(tests, a_body_as_a_whole_has_the_empty_pointer);
    tcase_add_test(tests, a_place_in_a_file_is_a_place);
    tcase_add_test(tests, an_error_without_a_place_has_no_list);
    tcase_add_test(tests, every_code_has_a_status);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
