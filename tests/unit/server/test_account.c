/* Admission and Retry-After as stories with a clock of their own. */
#include "server/engine/account.h"

#include "tests/unit/unit.h"

#include <string.h>

static struct account account_of(double cost_limit, uint64_t bytes_limit, size_t runs_limit)
{
    return (struct account){.cost_limit = cost_limit,
                            .bytes_limit = bytes_limit,
                            .runs_limit = runs_limit,
                            .workers = 2,
                            .retry_seconds = 1};
}

static int admit(struct account *account, double cost, uint64_t bytes, struct err *err)
{
    struct charge charge = {.work = cost, .bytes = bytes};
    *err = (struct err){0};
    return account_admit(account, &charge, err);
}

START_TEST(a_giant_run_leaves_room_for_others)
{
    struct account account = account_of(1000, 1000, 100);
    struct charge giant = {.work = 1e9, .bytes = 0};
    struct err err = {0};
    ck_assert_int_eq(account_admit(&account, &giant, &err), 0);
    ck_assert_double_eq(giant.cost, 1000.0 / ACCOUNT_SHARE);
    for (int i = 1; i < ACCOUNT_SHARE; i++)
        ck_assert_int_eq(admit(&account, 1e9, 0, &err), 0);
    ck_assert_int_eq(admit(&account, 1, 0, &err), ERR_OVERLOADED);
    ck_assert_str_eq(err.message, "1e+03 multiply-adds are waiting already");
    account_ease(&account, &giant, 1e6); /* much is done, and it still counts for as much */
    ck_assert_int_eq(admit(&account, 1, 0, &err), ERR_OVERLOADED);
    account_ease(&account, &giant, 20);
    ck_assert_int_eq(admit(&account, 105, 0, &err), 0);
    ck_assert_int_eq(admit(&account, 1, 0, &err), ERR_OVERLOADED);
}
END_TEST

START_TEST(what_comes_first_is_taken_whatever_it_holds)
{
    struct account account = account_of(1000, 1000, 10);
    struct charge giant = {.work = 1e9, .bytes = 1000000};
    struct err err = {0};
    ck_assert_int_eq(account_admit(&account, &giant, &err), 0);
    ck_assert_int_eq(admit(&account, 1, 0, &err), ERR_OVERLOADED);
    account_leave(&account, &giant);
    ck_assert_int_eq(admit(&account, 1, 0, &err), 0);
}
END_TEST

START_TEST(a_limit_can_be_filled_to_the_last_and_each_is_named)
{
    struct account account = account_of(1000, 500, 10);
    struct err err;
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(admit(&account, 100, i ? 0 : 100, &err), 0);
    ck_assert_int_eq(admit(&account, 101, 100, &err), ERR_OVERLOADED);
    ck_assert_ptr_nonnull(strstr(err.message, "multiply-adds"));
    ck_assert_int_eq(admit(&account, 100, 401, &err), ERR_OVERLOADED);
    ck_assert_ptr_nonnull(strstr(err.message, "bytes"));
    ck_assert_int_eq(admit(&account, 100, UINT64_MAX, &err), ERR_OVERLOADED);
    ck_assert_int_eq(admit(&account, 100, 400, &err), 0);
    ck_assert_int_eq(admit(&account, 0, 0, &err), ERR_OVERLOADED);
    ck_assert_str_eq(err.message, "10 requests are in progress already");
}
END_TEST

START_TEST(retry_after_is_the_time_until_the_refused_fits_at_the_measured_rate)
{
    struct account account = account_of(1000, UINT64_MAX, 100);
    struct err err;
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(admit(&account, 100, 0, &err), 0);
    ck_assert_int_eq(admit(&account, 120, 0, &err), ERR_OVERLOADED);
    ck_assert_uint_eq(account.retry_seconds, 1); /* nothing is measured yet */
    account_measure(&account, 5, 5);             /* a worker: 1 a second; both: 2 */
    ck_assert_double_eq_tol(account_rate(&account), 2, 1e-9);
    ck_assert_int_eq(admit(&account, 120, 0, &err), ERR_OVERLOADED);
    ck_assert_uint_eq(account.retry_seconds, 10); /* 20 are too many */
    ck_assert_int_eq(admit(&account, 1e9, 0, &err), ERR_OVERLOADED);
    ck_assert_uint_eq(account.retry_seconds, 13); /* 25: it counts for 125 */
    account_measure(&account, 0, 50);
    ck_assert_int_eq(admit(&account, 1000, 0, &err), ERR_OVERLOADED);
    ck_assert_uint_eq(account.retry_seconds, 60); /* the most */
}
END_TEST

START_TEST(behind_giants_the_wait_is_that_for_their_work)
{
    struct account account = account_of(1000, UINT64_MAX, 100);
    struct err err;
    account_measure(&account, 500, 5); /* 200 a second */
    for (int i = 0; i < ACCOUNT_SHARE; i++)
        ck_assert_int_eq(admit(&account, 10000, 0, &err), 0);
    ck_assert_int_eq(admit(&account, 100, 0, &err), ERR_OVERLOADED);
    ck_assert_uint_eq(account.retry_seconds, 40); /* a tenth of 80,000 */
}
END_TEST

START_TEST(bytes_and_runs_leave_with_the_work_that_holds_them)
{
    struct account account = account_of(1e9, 1000, 4);
    struct err err;
    account_measure(&account, 50, 5); /* 20 a second */
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(admit(&account, 100, 250, &err), 0);
    ck_assert_int_eq(admit(&account, 1, 500, &err), ERR_OVERLOADED);
    ck_assert_uint_eq(account.retry_seconds, 10); /* half of 400 */
    ck_assert_int_eq(admit(&account, 1, 0, &err), ERR_OVERLOADED);
    ck_assert_uint_eq(account.retry_seconds, 5); /* one of four */
}
END_TEST

START_TEST(a_client_that_waits_as_told_is_taken)
{
    enum { RUNS = 10 };
    struct account account = account_of(1000, UINT64_MAX, 100);
    struct charge charges[RUNS];
    struct err err = {0};
    for (int i = 0; i < RUNS; i++) {
        charges[i] = (struct charge){.work = 100};
        ck_assert_int_eq(account_admit(&account, &charges[i], &err), 0);
    }
    account_measure(&account, 70, 10); /* 14 a second */
    ck_assert_int_eq(admit(&account, 125, 0, &err), ERR_OVERLOADED);
    unsigned wait = account.retry_seconds;
    ck_assert_uint_gt(wait, 1);
    ck_assert_int_eq(admit(&account, 125, 0, &err), ERR_OVERLOADED);
    /* Two queues share the workers: a second is half of each. */
    for (unsigned second = 0; second < wait; second++) {
        account_ease(&account, &charges[0], charges[0].work - 7);
        account_ease(&account, &charges[9], charges[9].work - 7);
        account_measure(&account, 14, 2);
    }
    ck_assert_int_eq(admit(&account, 125, 0, &err), 0);
}
END_TEST

START_TEST(runs_that_their_readers_hold_up_keep_nobody_out)
{
    struct account account = account_of(1000, UINT64_MAX, 100);
    struct charge giants[ACCOUNT_SHARE];
    struct err err = {0};
    account_measure(&account, 5, 5); /* 2 a second */
    for (int i = 0; i < ACCOUNT_SHARE; i++) {
        giants[i] = (struct charge){.work = 1e9};
        ck_assert_int_eq(account_admit(&account, &giants[i], &err), 0);
    }
    ck_assert_int_eq(admit(&account, 1, 0, &err), ERR_OVERLOADED);
    for (int i = 0; i < ACCOUNT_SHARE; i++)
        account_park(&account, &giants[i]);
    ck_assert_double_eq(account.held_cost, 0);
    ck_assert_int_eq(admit(&account, 1e9, 0, &err), 0);
    /* The seven others took as much as this, then their readers held them up again. */
    for (int i = 1; i < ACCOUNT_SHARE; i++) {
        account_ease(&account, &giants[i], 1e9 - 1e4);
        ck_assert_double_eq(giants[i].cost, 1000.0 / ACCOUNT_SHARE);
    }
    ck_assert_int_eq(admit(&account, 1, 0, &err), ERR_OVERLOADED);
    ck_assert_uint_eq(account.retry_seconds, 60); /* the work of one that is not held up is much */
    for (int i = 1; i < ACCOUNT_SHARE; i++)
        account_park(&account, &giants[i]);
    ck_assert_int_eq(admit(&account, 1, 0, &err), 0);
}
END_TEST

START_TEST(a_run_that_was_held_up_counts_for_what_it_has_taken_since)
{
    struct account account = account_of(1000, UINT64_MAX, 100);
    struct charge giant = {.work = 1e9};
    struct err err = {0};
    ck_assert_int_eq(account_admit(&account, &giant, &err), 0);
    account_park(&account, &giant);
    account_ease(&account, &giant, 1e9 - 50);
    ck_assert_double_eq(account.held_waiting, 50);
    ck_assert_double_eq(account.held_cost, 50);
    account_ease(&account, &giant, 1e9 - 500);
    ck_assert_double_eq(account.held_waiting, 500);
    ck_assert_double_eq(account.held_cost, 1000.0 / ACCOUNT_SHARE);
    account_ease(&account, &giant, 20);
    ck_assert_double_eq(account.held_waiting, 20);
    ck_assert_double_eq(account.held_cost, 20);
    account_leave(&account, &giant);
    ck_assert_double_eq(account.held_waiting, 0);
    ck_assert_double_eq(account.held_cost, 0);
}
END_TEST

START_TEST(charges_only_fall_and_nothing_is_left_when_all_have_gone)
{
    struct account account = account_of(1e13, UINT64_MAX, 1000);
    struct charge charges[100];
    struct err err = {0};
    for (int i = 0; i < 100; i++) {
        charges[i] = (struct charge){.work = 1e9 / 3 * (i + 1), .bytes = 77u * (unsigned)i};
        ck_assert_int_eq(account_admit(&account, &charges[i], &err), 0);
    }
    for (int i = 0; i < 100; i++) {
        double before = account.held_cost;
        account_ease(&account, &charges[i], charges[i].work / 7);
        ck_assert_double_lt(account.held_cost, before);
    }
    for (int i = 0; i < 100; i++)
        account_leave(&account, &charges[i]);
    ck_assert_double_eq(account.held_cost, 0);
    ck_assert_double_eq(account.held_waiting, 0);
    ck_assert_uint_eq(account.held_bytes, 0);
    ck_assert_uint_eq(account.runs, 0);
}
END_TEST

START_TEST(the_rate_follows_what_is_done_now)
{
    struct account account = account_of(1000, 1000, 10);
    ck_assert_double_eq(account_rate(&account), 0);
    for (int i = 0; i < 1000; i++)
        account_measure(&account, 100, 1);
    ck_assert_double_eq_tol(account_rate(&account), 200, 1e-6);
    for (int i = 0; i < 100; i++)
        account_measure(&account, 10, 1); /* another model */
    ck_assert_double_eq_tol(account_rate(&account), 20, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("account");
    TCase *tests = tcase_create("account");
    tcase_add_test(tests, a_giant_run_leaves_room_for_others);
    tcase_add_test(tests, what_comes_first_is_taken_whatever_it_holds);
    tcase_add_test(tests, a_limit_can_be_filled_to_the_last_and_each_is_named);
    tcase_add_test(tests, retry_after_is_the_time_until_the_refused_fits_at_the_measured_rate);
    tcase_add_test(tests, behind_giants_the_wait_is_that_for_their_work);
    tcase_add_test(tests, bytes_and_runs_leave_with_the_work_that_holds_them);
    tcase_add_test(tests, a_client_that_waits_as_told_is_taken);
    tcase_add_test(tests, runs_that_their_readers_hold_up_keep_nobody_out);
    tcase_add_test(tests, a_run_that_was_held_up_counts_for_what_it_has_taken_since);
    tcase_add_test(tests, charges_only_fall_and_nothing_is_left_when_all_have_gone);
    tcase_add_test(tests, the_rate_follows_what_is_done_now);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
