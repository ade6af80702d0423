/* The scheduler as stories: a trace of what is handed out, "run unit first+count", and simulations
   with a clock of their own. */
#include "server/engine/sched.h"

#include "core/base/buf.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct sched sched;
static int model_a, model_b, model_c, euler, f32, bf16;

static void setup(void)
{
    sched_init(&sched);
}

static void teardown(void)
{
    sched_release(&sched);
}

static struct sched_run run_of_cost(const void *model, uint64_t rows, uint64_t evaluations,
                                    size_t frames, size_t window)
{
    struct sched_run run;
    const struct sched_ask ask = {.key = {model, &euler, &f32},
                                  .rows = rows,
                                  .frames = frames,
                                  .window = window,
                                  .evaluations = evaluations};
    ck_assert_int_eq(sched_run_init(&run, &ask), 0);
    return run;
}

/* A turn of it is 16 rows. */
static struct sched_run run_for(const void *model, uint64_t rows, size_t frames, size_t window)
{
    return run_of_cost(model, rows, SCHED_QUANTUM / 16 * frames, frames, window);
}

static void end_runs(struct sched_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sched_remove(&sched, &runs[i]);
        sched_run_release(&runs[i]);
    }
}

static struct sched_queue *pick(enum sched_class class)
{
    return sched_pick(&sched, class, 10);
}

/* Takes rows and writes each claim as "NAME unit:first+count " where NAME is a for the first
   run. */
static void trace(struct buf *out, enum sched_class class, size_t rows,
                  const struct sched_run *runs)
{
    struct sched_claim claims[64];
    struct sched_queue *queue = pick(class);
    size_t count = queue ? sched_take(queue, class, rows, claims, 64) : 0;
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%c%d:%zu+%zu ", (char)('a' + (claims[i].run - runs)), (int)claims[i].unit,
                   claims[i].first, claims[i].count);
}

#define ck_assert_trace(buf, text)                                                                 \
    do {                                                                                           \
        buf_char(buf, '\0');                                                                       \
        ck_assert_str_eq((buf)->data, text);                                                       \
        buf_clear(buf);                                                                            \
    } while (0)

START_TEST(large_requests_take_turns_of_16_rows_of_128_evaluations)
{
    struct sched_run runs[2] = {run_for(&model_a, 100000, 1, 64), run_for(&model_a, 1000, 1, 64)};
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    trace(&out, SCHED_IS_BULK, 76, runs);
    ck_assert_trace(&out, "a0:0+16 b0:0+16 a0:16+16 b0:16+16 a0:32+12 ");
    trace(&out, SCHED_IS_BULK, 40, runs); /* the turn that was cut short goes on */
    ck_assert_trace(&out, "a0:44+4 b0:32+16 a0:48+16 b0:48+4 ");
    trace(&out, SCHED_IS_EXPRESS, 40, runs);
    ck_assert_trace(&out, "");
    buf_release(&out);
    end_runs(runs, 2);
}
END_TEST

START_TEST(a_small_request_is_express_and_so_is_the_rest_of_a_large_one)
{
    struct sched_run runs[2] = {run_for(&model_a, 300, 1, 64), run_for(&model_a, 20, 1, 64)};
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    trace(&out, SCHED_IS_EXPRESS, 64, runs);
    ck_assert_trace(&out, "b0:0+16 b0:16+4 ");
    trace(&out, SCHED_IS_BULK, 64, runs); /* 256 rows of 128 evaluations are left: express */
    ck_assert_trace(&out, "a0:0+16 a0:16+16 a0:32+16 ");
    ck_assert_ptr_null(pick(SCHED_IS_BULK));
    trace(&out, SCHED_IS_EXPRESS, 20, runs);
    ck_assert_trace(&out, "a0:48+16 a1:0+4 ");
    buf_release(&out);
    end_runs(runs, 2);
}
END_TEST

START_TEST(rows_of_many_steps_get_fewer_lanes)
{
    struct sched_run runs[2] = {run_of_cost(&model_a, 100000, 10, 1, 64),
                                run_of_cost(&model_a, 100000, 5000, 1, 64)};
    uint64_t cost[2] = {0, 0};
    struct sched_claim claims[64];
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    for (int step = 0; step < 200; step++) {
        size_t count = sched_take(pick(SCHED_IS_BULK), SCHED_IS_BULK, 64, claims, 64);
        for (size_t i = 0; i < count; i++) {
            struct sched_run *run = claims[i].run;
            cost[run - runs] += claims[i].count * run->row_cost;
            if (claims[i].first + claims[i].count == SCHED_BLOCK)
                sched_unit_read(run);
        }
        uint64_t apart = cost[0] > cost[1] ? cost[0] - cost[1] : cost[1] - cost[0];
        ck_assert_uint_le(apart, 2 * SCHED_QUANTUM + 5000);
    }
    ck_assert_uint_gt(cost[1], 50000);
    end_runs(runs, 2);
}
END_TEST

/* One tile of 64 lanes that is given rows whenever lanes are free: in each step every lane does one
   evaluation. */
struct lanes {
    struct sched_run *run[64];
    uint64_t left[64];
    size_t used;
    uint64_t steps[8]; /* lane steps of each run */
};

static void lanes_step(struct lanes *lanes, enum sched_class class, const struct sched_run *runs)
{
    struct sched_claim claims[64];
    struct sched_queue *queue = pick(class);
    size_t count = queue ? sched_take(queue, class, 64 - lanes->used, claims, 64) : 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < claims[i].count; r++, lanes->used++) {
            lanes->run[lanes->used] = claims[i].run;
            lanes->left[lanes->used] = claims[i].run->row_cost;
        }
    }
    for (size_t i = 0; i < lanes->used;) {
        struct sched_run *run = lanes->run[i];
        lanes->steps[run - runs]++;
        if (--lanes->left[i] > 0) {
            i++;
            continue;
        }
        lanes->used--;
        lanes->run[i] = lanes->run[lanes->used];
        lanes->left[i] = lanes->left[lanes->used];
    }
}

START_TEST(over_any_window_each_request_gets_its_share_within_a_quantum)
{
    enum { RUNS = 5, WINDOWS = 400 };
    static const uint64_t costs[RUNS] = {10, 40, 100, 400, 1000};
    struct sched_run runs[RUNS];
    uint64_t at[WINDOWS + 1][RUNS] = {{0}};
    struct sched_claim claims[64];
    for (size_t i = 0; i < RUNS; i++) {
        runs[i] = run_of_cost(&model_a, 10000000, costs[i], 1, 1000000);
        ck_assert_int_eq(sched_add(&sched, &runs[i]), 0);
    }
    for (size_t w = 1; w <= WINDOWS; w++) {
        memcpy(at[w], at[w - 1], sizeof at[w]);
        size_t count = sched_take(pick(SCHED_IS_BULK), SCHED_IS_BULK, 1 + w % 37, claims, 64);
        for (size_t i = 0; i < count; i++)
            at[w][claims[i].run - runs] += claims[i].count * claims[i].run->row_cost;
    }
    for (size_t from = 0; from < WINDOWS; from += 7) {
        for (size_t to = from + 1; to <= WINDOWS; to += 13) {
            uint64_t least = UINT64_MAX, most = 0;
            for (size_t i = 0; i < RUNS; i++) {
                uint64_t got = at[to][i] - at[from][i];
                least = got < least ? got : least;
                most = got > most ? got : most;
            }
            /* The turn at hand, one row that did not fit into each of two turns. */
            ck_assert_uint_le(most - least, 2 * SCHED_QUANTUM + 2 * 1000);
        }
    }
    end_runs(runs, RUNS);
}
END_TEST

START_TEST(a_tile_is_shared_by_the_step_whatever_the_steps_of_a_row)
{
    struct sched_run runs[3] = {run_of_cost(&model_a, 1000000, 25, 1, 1 << 20),
                                run_of_cost(&model_a, 1000000, 100, 1, 1 << 20),
                                run_of_cost(&model_a, 1000000, 800, 1, 1 << 20)};
    struct lanes lanes = {.used = 0};
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(sched_add(&sched, &runs[i]), 0);
    for (int step = 0; step < 40000; step++)
        lanes_step(&lanes, SCHED_IS_BULK, runs);
    uint64_t all = lanes.steps[0] + lanes.steps[1] + lanes.steps[2];
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_ge(lanes.steps[i], all * 30 / 100);
        ck_assert_uint_le(lanes.steps[i], all * 37 / 100);
    }
    end_runs(runs, 3);
}
END_TEST

START_TEST(a_row_that_costs_more_than_many_quanta_still_comes)
{
    struct sched_run run = run_of_cost(&model_a, 1000, 40 * SCHED_QUANTUM, 1, 64);
    struct sched_claim claims[64];
    ck_assert_int_eq(sched_add(&sched, &run), 0);
    ck_assert_uint_eq(sched_take(pick(SCHED_IS_BULK), SCHED_IS_BULK, 3, claims, 64), 3);
    ck_assert_uint_eq(claims[2].count, 1);
    end_runs(&run, 1);
}
END_TEST

START_TEST(an_unread_window_parks_its_run_and_no_other)
{
    struct sched_run runs[2] = {run_for(&model_a, 1000, 1, 2), run_for(&model_a, 500, 1, 2)};
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    struct sched_queue *queue = pick(SCHED_IS_BULK);
    struct sched_claim claims[64];
    ck_assert_uint_eq(sched_ready_rows(queue, SCHED_IS_BULK, 1000), 128);
    ck_assert_uint_eq(sched_take(queue, SCHED_IS_BULK, 1000, claims, 64), 8);
    ck_assert_uint_eq(sched_ready_rows(queue, SCHED_IS_BULK, 1000), 0);
    ck_assert_ptr_null(pick(SCHED_IS_BULK));
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    trace(&out, SCHED_IS_BULK, 16, runs);
    ck_assert_trace(&out, "b0:0+16 ");
    ck_assert(!sched_unit_done(&runs[0], 0));
    ck_assert(sched_unit_read(&runs[0]));
    trace(&out, SCHED_IS_BULK, 40, runs);
    ck_assert_trace(&out, "b0:16+16 a2:0+16 b0:32+8 ");
    buf_release(&out);
    end_runs(runs, 2);
}
END_TEST

START_TEST(a_frame_begins_where_its_block_has_arrived)
{
    struct sched_run run = run_for(&model_a, 70, 3, 64); /* blocks of 64 and 6 rows */
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_uint_eq(run.units, 6);
    ck_assert_int_eq(sched_add(&sched, &run), 0);
    trace(&out, SCHED_IS_EXPRESS, 1000, &run);
    ck_assert_trace(&out, "a0:0+16 a0:16+16 a0:32+16 a0:48+16 a1:0+6 ");
    sched_unit_done(&run, 1); /* the second block is ahead: units are issued in order all the
                                 same */
    trace(&out, SCHED_IS_EXPRESS, 1000, &run);
    ck_assert_trace(&out, "");
    ck_assert(sched_unit_done(&run, 0));
    trace(&out, SCHED_IS_EXPRESS, 70, &run);
    ck_assert_trace(&out, "a2:0+16 a2:16+16 a2:32+16 a2:48+16 a3:0+6 ");
    ck_assert_uint_eq(sched_unit_frame(&run, 3), 1);
    ck_assert_uint_eq(sched_unit_row(&run, 3), 64);
    ck_assert_uint_eq(sched_unit_rows(&run, 3), 6);
    buf_release(&out);
    end_runs(&run, 1);
}
END_TEST

START_TEST(queues_take_turns_and_vanish_with_their_last_run)
{
    struct sched_run runs[2] = {run_for(&model_a, 1000, 1, 64), run_for(&model_b, 1000, 1, 64)};
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    struct sched_queue *first = pick(SCHED_IS_BULK);
    ck_assert_ptr_eq(first->key.model, &model_a);
    ck_assert(sched_others_wait(&sched, SCHED_IS_BULK, &first->key));
    ck_assert(!sched_others_wait(&sched, SCHED_IS_EXPRESS, &first->key));
    ck_assert_ptr_eq(pick(SCHED_IS_BULK)->key.model, &model_b);
    ck_assert_ptr_eq(pick(SCHED_IS_BULK)->key.model, &model_a);
    sched_remove(&sched, &runs[0]);
    sched_remove(&sched, &runs[0]);
    ck_assert_ptr_null(sched_find(&sched, &runs[0].key));
    ck_assert_ptr_eq(pick(SCHED_IS_BULK)->key.model, &model_b);
    ck_assert(!sched_others_wait(&sched, SCHED_IS_BULK, &runs[1].key));
    sched_remove(&sched, &runs[1]);
    ck_assert_ptr_null(pick(SCHED_IS_BULK));
    end_runs(runs, 2);
}
END_TEST

START_TEST(runs_of_different_precision_share_no_queue)
{
    struct sched_run runs[2] = {run_for(&model_a, 1000, 1, 64), run_for(&model_a, 1000, 1, 64)};
    runs[1].key.kernels = &bf16;
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    struct sched_queue *first = pick(SCHED_IS_BULK);
    ck_assert_ptr_eq(first, sched_find(&sched, &runs[0].key));
    ck_assert_uint_eq(sched_ready_rows(first, SCHED_IS_BULK, 10000), 1000);
    ck_assert_ptr_eq(pick(SCHED_IS_BULK), sched_find(&sched, &runs[1].key));
    end_runs(runs, 2);
}
END_TEST

START_TEST(queues_get_equal_time_whatever_their_slices_run_over)
{
    enum { SLICE = 10 };
    static const uint64_t used[3] = {11, 35, 17}; /* of a slice, until the tile has run empty */
    const void *models[3] = {&model_a, &model_b, &model_c};
    struct sched_run runs[3];
    uint64_t time[3] = {0};
    for (int i = 0; i < 3; i++) {
        runs[i] = run_for(models[i], 1000000, 1, 64);
        ck_assert_int_eq(sched_add(&sched, &runs[i]), 0);
    }
    for (int turn = 0; turn < 300; turn++) {
        const struct sched_key key = sched_pick(&sched, SCHED_IS_BULK, SLICE)->key;
        int i = key.model == &model_a ? 0 : key.model == &model_b ? 1 : 2;
        time[i] += used[i];
        sched_settle(&sched, &key, SCHED_IS_BULK, SLICE, used[i]);
        for (int j = 0; j < 3; j++) {
            ck_assert_uint_le(time[i], time[j] + 2 * 35);
            ck_assert_uint_le(time[j], time[i] + 2 * 35);
        }
    }
    end_runs(runs, 3);
}
END_TEST

START_TEST(a_queue_that_was_alone_is_not_in_debt_to_one_that_comes)
{
    struct sched_run runs[2] = {run_for(&model_a, 100000, 1, 64), run_for(&model_b, 100000, 1, 64)};
    uint64_t others = 0;
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    ck_assert_ptr_eq(pick(SCHED_IS_BULK)->key.model, &model_a);
    for (int i = 0; i < 1000; i++)
        sched_renew(&sched, &runs[0].key, SCHED_IS_BULK, 10, 12);
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    sched_settle(&sched, &runs[0].key, SCHED_IS_BULK, 10, 12);
    while (pick(SCHED_IS_BULK)->key.model == &model_b)
        others += 10;
    ck_assert_uint_gt(others, 0);
    ck_assert_uint_le(others, 30);
    end_runs(runs, 2);
}
END_TEST

START_TEST(a_worker_gives_three_quarters_to_small_requests_while_both_have_work)
{
    struct sched_turn turn = {0};
    uint64_t now = 0, time[SCHED_CLASSES] = {0};
    while (now < 1000000) {
        enum sched_class class = sched_turn_next(&turn, true, true);
        uint64_t step = class == SCHED_IS_EXPRESS ? 3 : 8;
        sched_turn_charge(&turn, class, step);
        time[class] += step;
        now += step;
        ck_assert_uint_le(time[SCHED_IS_EXPRESS], SCHED_SHARE * time[SCHED_IS_BULK] + 3);
        ck_assert_uint_le(SCHED_SHARE * time[SCHED_IS_BULK],
                          time[SCHED_IS_EXPRESS] + SCHED_SHARE * 8);
    }
}
END_TEST

START_TEST(a_small_request_that_comes_is_stepped_next_and_alone_each_class_has_all)
{
    struct sched_turn turn = {0};
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(sched_turn_next(&turn, false, true), SCHED_IS_BULK);
        sched_turn_charge(&turn, SCHED_IS_BULK, 1000);
    }
    ck_assert_int_eq(sched_turn_next(&turn, true, true), SCHED_IS_EXPRESS);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(sched_turn_next(&turn, true, false), SCHED_IS_EXPRESS);
        sched_turn_charge(&turn, SCHED_IS_EXPRESS, 1000);
    }
    sched_turn_charge(&turn, SCHED_IS_EXPRESS, UINT64_MAX); /* off its processor */
    ck_assert_int_eq(sched_turn_next(&turn, true, true), SCHED_IS_BULK);
}
END_TEST

START_TEST(runs_leave_at_their_deadline_in_its_order_queued_or_issued)
{
    static const uint64_t deadlines[4] = {300, 100, 0, 200};
    struct sched_run runs[4];
    struct sched_claim claims[64];
    for (int i = 0; i < 4; i++) {
        runs[i] = run_for(&model_a, 10, 1, 64);
        runs[i].deadline = deadlines[i];
        ck_assert_int_eq(sched_add(&sched, &runs[i]), 0);
    }
    ck_assert_uint_eq(sched_next_deadline(&sched), 100);
    ck_assert_ptr_null(sched_expire(&sched, 99));
    ck_assert_ptr_eq(sched_expire(&sched, 100), &runs[1]);
    ck_assert_ptr_null(sched_expire(&sched, 100));
    /* a and c in full; d is issued. */
    ck_assert_uint_eq(sched_take(pick(SCHED_IS_EXPRESS), SCHED_IS_EXPRESS, 64, claims, 64), 3);
    ck_assert_ptr_eq(sched_expire(&sched, 250), &runs[3]);
    ck_assert_uint_eq(sched_next_deadline(&sched), 300);
    sched_remove(&sched, &runs[0]); /* it was answered in time */
    ck_assert_uint_eq(sched_next_deadline(&sched), 0);
    ck_assert_ptr_null(sched_expire(&sched, UINT64_MAX));
    end_runs(runs, 4);
}
END_TEST

START_TEST(every_row_of_every_frame_is_handed_out_once)
{
    struct sched_run run = run_for(&model_a, 1000, 7, 5);
    unsigned char seen[7][1000] = {{0}};
    struct sched_claim claims[64];
    ck_assert_int_eq(sched_add(&sched, &run), 0);
    size_t taken = 0;
    for (enum sched_class class = SCHED_IS_BULK; taken < 7 * 1000;) {
        struct sched_queue *queue = pick(class);
        if (!queue) {
            ck_assert_int_eq(class, SCHED_IS_BULK); /* its rest is express */
            class = SCHED_IS_EXPRESS;
            continue;
        }
        size_t count = sched_take(queue, class, 37, claims, 64);
        for (size_t i = 0; i < count; i++) {
            size_t frame = sched_unit_frame(&run, claims[i].unit);
            uint64_t row = sched_unit_row(&run, claims[i].unit) + claims[i].first;
            for (size_t r = 0; r < claims[i].count; r++)
                ck_assert_uint_eq(seen[frame][row + r]++, 0);
            taken += claims[i].count;
            if (claims[i].first + claims[i].count == sched_unit_rows(&run, claims[i].unit)) {
                sched_unit_done(&run, claims[i].unit);
                sched_unit_read(&run);
            }
        }
    }
    ck_assert_uint_eq(run.left, 0);
    ck_assert_uint_eq(run.read, run.units);
    ck_assert_ptr_null(pick(SCHED_IS_EXPRESS));
    end_runs(&run, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sched");
    TCase *tests = tcase_create("sched");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, large_requests_take_turns_of_16_rows_of_128_evaluations);
    tcase_add_test(tests, a_small_request_is_express_and_so_is_the_rest_of_a_large_one);
    tcase_add_test(tests, rows_of_many_steps_get_fewer_lanes);
    tcase_add_test(tests, over_any_window_each_request_gets_its_share_within_a_quantum);
    tcase_add_test(tests, a_tile_is_shared_by_the_step_whatever_the_steps_of_a_row);
    tcase_add_test(tests, a_row_that_costs_more_than_many_quanta_still_comes);
    tcase_add_test(tests, an_unread_window_parks_its_run_and_no_other);
    tcase_add_test(tests, a_frame_begins_where_its_block_has_arrived);
    tcase_add_test(tests, queues_take_turns_and_vanish_with_their_last_run);
    tcase_add_test(tests, runs_of_different_precision_share_no_queue);
    tcase_add_test(tests, queues_get_equal_time_whatever_their_slices_run_over);
    tcase_add_test(tests, a_queue_that_was_alone_is_not_in_debt_to_one_that_comes);
    tcase_add_test(tests, a_worker_gives_three_quarters_to_small_requests_while_both_have_work);
    tcase_add_test(tests, a_small_request_that_comes_is_stepped_next_and_alone_each_class_has_all);
    tcase_add_test(tests, runs_leave_at_their_deadline_in_its_order_queued_or_issued);
    tcase_add_test(tests, every_row_of_every_frame_is_handed_out_once);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
