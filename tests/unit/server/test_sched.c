/* The scheduler as stories: a trace of what is handed out, "run unit first+count". */
#include "server/engine/sched.h"

#include "core/base/buf.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct sched sched;
static int model_a, model_b, euler, f32, bf16;

static void setup(void)
{
    sched_init(&sched);
}

static void teardown(void)
{
    sched_release(&sched);
}

static struct sched_run run_for(const void *model, uint64_t rows, size_t frames, size_t window)
{
    struct sched_run run = {.model = model, .method = &euler, .kernels = &f32};
    ck_assert_int_eq(sched_run_init(&run, rows, frames, window), 0);
    return run;
}

/* Takes rows and writes each claim as "NAME unit:first+count " where NAME is a for the first
   run. */
static void trace(struct buf *out, struct sched_queue *queue, size_t rows,
                  const struct sched_run *runs)
{
    struct sched_claim claims[64];
    size_t count = sched_take(queue, rows, claims, 64);
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

START_TEST(a_small_request_gets_its_turn_beside_a_large_one)
{
    struct sched_run runs[2] = {run_for(&model_a, 100000, 1, 64), run_for(&model_a, 20, 1, 64)};
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    struct sched_queue *queue = sched_pick(&sched);
    trace(&out, queue, 64, runs);
    ck_assert_trace(&out, "a0:0+16 b0:0+16 a0:16+16 b0:16+4 a0:32+12 ");
    trace(&out, queue, 40, runs);
    ck_assert_trace(&out, "a0:44+16 a0:60+4 a1:0+16 a1:16+4 ");
    buf_release(&out);
    for (int i = 0; i < 2; i++) {
        sched_remove(&sched, &runs[i]);
        sched_run_release(&runs[i]);
    }
}
END_TEST

START_TEST(an_unread_window_parks_its_run_and_no_other)
{
    struct sched_run runs[2] = {run_for(&model_a, 1000, 1, 2), run_for(&model_a, 64, 1, 2)};
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    struct sched_queue *queue = sched_pick(&sched);
    struct sched_claim claims[64];
    ck_assert_uint_eq(sched_ready_rows(queue, 1000), 128);
    ck_assert_uint_eq(sched_take(queue, 1000, claims, 64), 8);
    ck_assert_uint_eq(sched_ready_rows(queue, 1000), 0);
    ck_assert_ptr_null(sched_pick(&sched));
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    trace(&out, sched_pick(&sched), 16, runs);
    ck_assert_trace(&out, "b0:0+16 ");
    sched_unit_done(&runs[0], 0);
    sched_unit_read(&runs[0]);
    trace(&out, sched_pick(&sched), 40, runs);
    ck_assert_trace(&out, "b0:16+16 a2:0+16 b0:32+8 ");
    buf_release(&out);
    for (int i = 0; i < 2; i++) {
        sched_remove(&sched, &runs[i]);
        sched_run_release(&runs[i]);
    }
}
END_TEST

START_TEST(a_frame_begins_where_its_block_has_arrived)
{
    struct sched_run run = run_for(&model_a, 70, 3, 64); /* blocks of 64 and 6 rows */
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_uint_eq(run.units, 6);
    ck_assert_int_eq(sched_add(&sched, &run), 0);
    struct sched_queue *queue = sched_pick(&sched);
    trace(&out, queue, 1000, &run);
    ck_assert_trace(&out, "a0:0+16 a0:16+16 a0:32+16 a0:48+16 a1:0+6 ");
    sched_unit_done(&run, 1); /* the second block is ahead: units are issued in order all the
                                 same */
    trace(&out, queue, 1000, &run);
    ck_assert_trace(&out, "");
    sched_unit_done(&run, 0);
    trace(&out, queue, 70, &run);
    ck_assert_trace(&out, "a2:0+16 a2:16+16 a2:32+16 a2:48+16 a3:0+6 ");
    ck_assert_uint_eq(sched_unit_frame(&run, 3), 1);
    ck_assert_uint_eq(sched_unit_row(&run, 3), 64);
    ck_assert_uint_eq(sched_unit_rows(&run, 3), 6);
    buf_release(&out);
    sched_remove(&sched, &run);
    sched_run_release(&run);
}
END_TEST

START_TEST(queues_take_turns_and_vanish_with_their_last_run)
{
    struct sched_run runs[2] = {run_for(&model_a, 1000, 1, 64), run_for(&model_b, 1000, 1, 64)};
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    struct sched_queue *first = sched_pick(&sched);
    ck_assert_ptr_eq(first->model, &model_a);
    ck_assert(sched_others_wait(&sched, first));
    ck_assert_ptr_eq(sched_pick(&sched)->model, &model_b);
    ck_assert_ptr_eq(sched_pick(&sched)->model, &model_a);
    sched_remove(&sched, &runs[0]);
    sched_remove(&sched, &runs[0]);
    ck_assert_ptr_null(sched_find(&sched, &model_a, &euler, &f32));
    ck_assert_ptr_eq(sched_pick(&sched)->model, &model_b);
    ck_assert(!sched_others_wait(&sched, sched_pick(&sched)));
    sched_remove(&sched, &runs[1]);
    ck_assert_ptr_null(sched_pick(&sched));
    sched_run_release(&runs[0]);
    sched_run_release(&runs[1]);
}
END_TEST

START_TEST(runs_of_different_precision_share_no_queue)
{
    struct sched_run runs[2] = {run_for(&model_a, 100, 1, 64), run_for(&model_a, 100, 1, 64)};
    runs[1].kernels = &bf16;
    ck_assert_int_eq(sched_add(&sched, &runs[0]), 0);
    ck_assert_int_eq(sched_add(&sched, &runs[1]), 0);
    struct sched_queue *first = sched_pick(&sched);
    ck_assert_ptr_eq(first, sched_find(&sched, &model_a, &euler, &f32));
    ck_assert_uint_eq(sched_ready_rows(first, 1000), 128);
    ck_assert_ptr_eq(sched_pick(&sched), sched_find(&sched, &model_a, &euler, &bf16));
    for (size_t i = 0; i < 2; i++) {
        sched_remove(&sched, &runs[i]);
        sched_run_release(&runs[i]);
    }
}
END_TEST

START_TEST(every_row_of_every_frame_is_handed_out_once)
{
    struct sched_run run = run_for(&model_a, 1000, 7, 5);
    unsigned char seen[7][1000] = {{0}};
    struct sched_claim claims[64];
    ck_assert_int_eq(sched_add(&sched, &run), 0);
    struct sched_queue *queue;
    size_t taken = 0;
    while ((queue = sched_pick(&sched))) {
        size_t count = sched_take(queue, 37, claims, 64);
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
    ck_assert_uint_eq(taken, 7 * 1000);
    ck_assert_uint_eq(run.read, run.units);
    sched_remove(&sched, &run);
    sched_run_release(&run);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sched");
    TCase *tests = tcase_create("sched");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_small_request_gets_its_turn_beside_a_large_one);
    tcase_add_test(tests, an_unread_window_parks_its_run_and_no_other);
    tcase_add_test(tests, a_frame_begins_where_its_block_has_arrived);
    tcase_add_test(tests, queues_take_turns_and_vanish_with_their_last_run);
    tcase_add_test(tests, runs_of_different_precision_share_no_queue);
    tcase_add_test(tests, every_row_of_every_frame_is_handed_out_once);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
