#include "core/base/mem.h"
#include "server/courier.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CALLS = 1000 };

struct job {
    struct call call; /* first: a job is found from its call */
    size_t number;
    size_t *order; /* [CALLS] numbers in the order of work, or NULL */
    atomic_size_t *worked;
    size_t *done;
    pthread_t worker;
    pthread_t loop;
    struct courier *next; /* asked again from done, once */
};

static void work(struct call *call)
{
    struct job *job = (struct job *)call;
    size_t at = atomic_fetch_add(job->worked, 1);
    if (job->order)
        job->order[at] = job->number;
    job->worker = pthread_self();
}

static void done(struct call *call)
{
    struct job *job = (struct job *)call;
    job->loop = pthread_self();
    (*job->done)++;
    struct courier *next = job->next;
    job->next = NULL;
    if (next)
        courier_submit(next, &job->call);
}

START_TEST(calls_are_worked_in_order_elsewhere_and_done_on_the_loop)
{
    uv_loop_t loop;
    struct courier *courier;
    struct err err = {0};
    static struct job jobs[CALLS];
    static size_t order[CALLS];
    atomic_size_t worked = 0;
    size_t finished = 0;
    uv_loop_init(&loop);
    ck_assert_int_eq(courier_start(&courier, &loop, "test", &err), 0);
    for (size_t i = 0; i < CALLS; i++) {
        jobs[i] = (struct job){.call = {.work = work, .done = done},
                               .number = i,
                               .order = order,
                               .worked = &worked,
                               .done = &finished};
        courier_submit(courier, &jobs[i].call);
    }
    ck_assert_uint_eq(courier_pending(courier), CALLS);
    while (courier_pending(courier) > 0)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_uint_eq(finished, CALLS);
    for (size_t i = 0; i < CALLS; i++) {
        ck_assert_uint_eq(order[i], i);
        ck_assert(!pthread_equal(jobs[i].worker, pthread_self()));
        ck_assert(pthread_equal(jobs[i].loop, pthread_self()));
    }
    courier_stop(courier);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

START_TEST(stopping_finishes_what_was_asked_and_what_that_asks)
{
    uv_loop_t loop;
    struct courier *courier;
    static struct job jobs[CALLS];
    atomic_size_t worked = 0;
    size_t finished = 0;
    uv_loop_init(&loop);
    ck_assert_int_eq(courier_start(&courier, &loop, "test", NULL), 0);
    for (size_t i = 0; i < CALLS; i++) {
        jobs[i] = (struct job){.call = {.work = work, .done = done},
                               .number = i,
                               .worked = &worked,
                               .done = &finished,
                               .next = courier};
        courier_submit(courier, &jobs[i].call);
    }
    courier_stop(courier);
    ck_assert_uint_eq(finished, 2 * CALLS);
    ck_assert_uint_eq(worked, 2 * CALLS);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

START_TEST(no_memory_is_an_error_and_leaves_nothing)
{
    uv_loop_t loop;
    struct courier *courier = NULL;
    struct err err = {0};
    uv_loop_init(&loop);
    mem_fail_after(0);
    ck_assert_int_eq(courier_start(&courier, &loop, "test", &err), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    ck_assert_ptr_null(courier);
    courier_stop(NULL);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("courier");
    TCase *tests = tcase_create("courier");
    tcase_add_test(tests, calls_are_worked_in_order_elsewhere_and_done_on_the_loop);
    tcase_add_test(tests, stopping_finishes_what_was_asked_and_what_that_asks);
    tcase_add_test(tests, no_memory_is_an_error_and_leaves_nothing);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
