#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "tests/unit/unit.h"

#include <stdint.h>
#include <string.h>

START_TEST(first_error_wins)
{
    struct err err = {0};
    ck_assert_int_eq(err_set(&err, ERR_INVALID, "/count", "must be at least %d", 1), ERR_INVALID);
    ck_assert_int_eq(err_set(&err, ERR_IO, "", "later"), ERR_IO);
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_str_eq(err.where, "/count");
    ck_assert_str_eq(err.message, "must be at least 1");
    ck_assert_str_eq(err_slug(ERR_NOT_FOUND), "not-found");
    ck_assert_str_eq(err_slug((enum err_code)1000), "internal-error");
}
END_TEST

START_TEST(buffer_stops_at_its_limit_and_stays_failed)
{
    struct buf buf;
    buf_init(&buf, 10);
    ck_assert_int_eq(buf_text(&buf, "12345678"), 0);
    ck_assert_int_eq(buf_text(&buf, "9012"), ERR_TOO_LARGE);
    ck_assert_int_eq(buf_text(&buf, "9"), ERR_TOO_LARGE);
    ck_assert_uint_eq(buf.size, 8);
    buf_clear(&buf);
    ck_assert_int_eq(buf_printf(&buf, "%d", 1234567890), 0);
    ck_assert_mem_eq(buf.data, "1234567890", 10);
    buf_release(&buf);
}
END_TEST

START_TEST(long_printf_is_whole)
{
    struct buf buf;
    buf_init(&buf, 4096);
    ck_assert_int_eq(buf_printf(&buf, "%0800d", 7), 0);
    ck_assert_uint_eq(buf.size, 800);
    ck_assert_int_eq(buf.data[799], '7');
    buf_release(&buf);
}
END_TEST

START_TEST(allocation_failure_is_reported)
{
    struct buf buf;
    buf_init(&buf, 4096);
    mem_fail_after(0);
    ck_assert_int_eq(buf_text(&buf, "x"), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    ck_assert_ptr_null(mem_alloc(SIZE_MAX, 2));
    ck_assert_ptr_null(mem_aligned(SIZE_MAX, 2));
    size_t product = 1;
    ck_assert(!mem_size_mul(SIZE_MAX, 2, &product));
    ck_assert_uint_eq(product, 1);
    buf_release(&buf);
}
END_TEST

START_TEST(arena_carves_aligned_zeroed_pieces)
{
    struct arena arena;
    size_t bytes = arena_bytes(3, 5) + arena_bytes(1, 100);
    ck_assert_int_eq(arena_init(&arena, bytes), 0);
    unsigned char *a = arena_take(&arena, 3, 5);
    unsigned char *b = arena_take(&arena, 1, 100);
    ck_assert_uint_eq((uintptr_t)a % MEM_ALIGN, 0);
    ck_assert_uint_eq((uintptr_t)b % MEM_ALIGN, 0);
    ck_assert_uint_eq(b[99], 0);
    ck_assert_uint_eq(arena.used, bytes);
    arena_release(&arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tests = tcase_create("base");
    tcase_add_test(tests, first_error_wins);
    tcase_add_test(tests, buffer_stops_at_its_limit_and_stays_failed);
    tcase_add_test(tests, long_printf_is_whole);
    tcase_add_test(tests, allocation_failure_is_reported);
    tcase_add_test(tests, arena_carves_aligned_zeroed_pieces);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
