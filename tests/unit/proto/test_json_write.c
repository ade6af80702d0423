#include "core/base/mem.h"
#include "proto/json_write.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static struct buf out;

static void setup(void)
{
    buf_init(&out, 4096);
}

static void teardown(void)
{
    buf_release(&out);
}

static const char *text(void)
{
    ck_assert_int_eq(buf_char(&out, '\0'), 0);
    return out.data;
}

START_TEST(commas_stand_between_values_only)
{
    struct json_writer w = json_writer(&out);
    json_open_object(&w, NULL);
    json_write_integer(&w, "a", -1);
    json_open_array(&w, "b");
    json_write_unsigned(&w, NULL, UINT64_MAX);
    json_open_object(&w, NULL);
    json_close_object(&w);
    json_open_array(&w, NULL);
    json_close_array(&w);
    json_write_null(&w, NULL);
    json_close_array(&w);
    json_write_boolean(&w, "c", true);
    json_write_raw(&w, "d", "[1]", 3);
    json_close_object(&w);
    ck_assert_str_eq(text(),
                     "{\"a\":-1,\"b\":[18446744073709551615,{},[],null],\"c\":true,\"d\":[1]}");
}
END_TEST

START_TEST(strings_are_escaped)
{
    struct json_writer w = json_writer(&out);
    json_write_string(&w, NULL, "a\"b\\c\b\f\n\r\t\x01\x7f/\xc3\xa9");
    ck_assert_str_eq(text(), "\"a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0001\\u007f/\xc3\xa9\"");
}
END_TEST

START_TEST(bytes_that_are_not_utf8_become_the_replacement_character)
{
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\x80",
                                      "\xed\xa0\x80",
                                      "\xe0\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct json_writer w = json_writer(&out);
        buf_clear(&out);
        json_write_string(&w, NULL, bad[i]);
        ck_assert_mem_eq(out.data, "\"\xef\xbf\xbd", 4);
    }
    static const char *const good[] = {"\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf",
                                       "\xe0\xa0\x80", "\xf0\x90\x80\x80"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct json_writer w = json_writer(&out);
        buf_clear(&out);
        json_write_string(&w, NULL, good[i]);
        ck_assert_uint_eq(out.size, strlen(good[i]) + 2);
        ck_assert_mem_eq(out.data + 1, good[i], strlen(good[i]));
    }
}
END_TEST

START_TEST(numbers_are_the_shortest_that_read_back)
{
    struct json_writer w = json_writer(&out);
    json_open_array(&w, NULL);
    json_write_number(&w, NULL, 0.1);
    json_write_float(&w, NULL, 0.1f);
    json_write_number(&w, NULL, 3);
    json_write_number(&w, NULL, NAN);
    json_write_float(&w, NULL, -INFINITY);
    json_close_array(&w);
    ck_assert_str_eq(text(), "[0.1,0.1,3,null,null]");
}
END_TEST

START_TEST(a_seed_above_2_to_the_53_is_a_string)
{
    struct json_writer w = json_writer(&out);
    json_open_array(&w, NULL);
    json_write_seed(&w, NULL, (UINT64_C(1) << 53) - 1);
    json_write_seed(&w, NULL, UINT64_C(1) << 53);
    json_close_array(&w);
    ck_assert_str_eq(text(), "[9007199254740991,\"9007199254740992\"]");
}
END_TEST

START_TEST(a_failed_buffer_stays_failed)
{
    struct json_writer w = json_writer(&out);
    mem_fail_after(0);
    json_open_object(&w, NULL);
    mem_fail_after(SIZE_MAX);
    json_write_number(&w, "a", 1);
    json_write_integer(&w, "b", 1);
    json_write_float(&w, "c", 1);
    ck_assert_int_ne(out.failed, 0);
    ck_assert_uint_eq(out.size, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_write");
    TCase *tests = tcase_create("json_write");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, commas_stand_between_values_only);
    tcase_add_test(tests, strings_are_escaped);
    tcase_add_test(tests, bytes_that_are_not_utf8_become_the_replacement_character);
    tcase_add_test(tests, numbers_are_the_shortest_that_read_back);
    tcase_add_test(tests, a_seed_above_2_to_the_53_is_a_string);
    tcase_add_test(tests, a_failed_buffer_stays_failed);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
