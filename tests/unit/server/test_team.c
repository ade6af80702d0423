/* Parts of a share, whoever computes them. */
#include "server/engine/team.h"

#include "tests/unit/unit.h"

#include <uv.h>

enum { HELPERS = 3, SHARES = 2000, MEMBERS = HELPERS + 1 };

static atomic_size_t turned_away;

struct helper {
    struct team *team;
    const atomic_uint *events;
    uv_thread_t thread;
};

static void help(void *argument)
{
    struct helper *helper = argument;
    if (!team_help(helper->team, helper->events, 0))
        atomic_fetch_add(&turned_away, 1);
}

/* Plain numbers: a race on them is one for the sanitizer to find. */
struct sums {
    unsigned calls[MEMBERS], members;
};

static void add(void *work, size_t i, size_t members)
{
    struct sums *sums = work;
    sums->calls[i]++;
    if (i == 0)
        sums->members = (unsigned)members;
}

static void wait_for_helpers(struct team *team, size_t count)
{
    while (atomic_load(&team->helpers) != count)
        uv_sleep(1);
}

static void share_and_check(struct team *team)
{
    struct sums sums = {0};
    team->simd.share(&team->simd, add, &sums);
    ck_assert_uint_ge(sums.members, 1);
    ck_assert_uint_le(sums.members, MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++)
        ck_assert_uint_eq(sums.calls[i], i < sums.members);
}

static void start_helpers(struct helper *helpers, struct team *team, const atomic_uint *events)
{
    for (size_t i = 0; i < HELPERS; i++) {
        helpers[i] = (struct helper){.team = team, .events = events};
        ck_assert_int_eq(uv_thread_create(&helpers[i].thread, help, &helpers[i]), 0);
    }
}

static void join_helpers(struct helper *helpers)
{
    for (size_t i = 0; i < HELPERS; i++)
        uv_thread_join(&helpers[i].thread);
}

START_TEST(a_leader_without_helpers_computes_alone)
{
    struct team team;
    struct sums sums = {0};
    team_init(&team, MEMBERS);
    team_open(&team);
    team.simd.share(&team.simd, add, &sums);
    ck_assert_uint_eq(sums.members, 1);
    ck_assert_uint_eq(sums.calls[0], 1);
}
END_TEST

START_TEST(every_part_is_computed_once)
{
    struct team team;
    struct helper helpers[HELPERS];
    atomic_uint events = 0;
    struct sums sums = {0};
    team_init(&team, MEMBERS);
    team_open(&team);
    start_helpers(helpers, &team, &events);
    for (int i = 0; i < SHARES; i++)
        share_and_check(&team);
    wait_for_helpers(&team, HELPERS);
    team.simd.share(&team.simd, add, &sums);
    ck_assert_uint_eq(sums.members, MEMBERS);
    team_close(&team);
    join_helpers(helpers);
}
END_TEST

START_TEST(no_more_helpers_are_taken_than_members)
{
    struct team team;
    struct helper helpers[HELPERS];
    atomic_uint events = 0;
    team_init(&team, 2);
    team_open(&team);
    start_helpers(helpers, &team, &events);
    while (atomic_load(&turned_away) < HELPERS - 1)
        uv_sleep(1);
    wait_for_helpers(&team, 1);
    for (int i = 0; i < SHARES; i++) {
        struct sums sums = {0};
        team.simd.share(&team.simd, add, &sums);
        ck_assert_uint_eq(sums.members, 2);
        ck_assert(sums.calls[0] == 1 && sums.calls[1] == 1);
    }
    team_close(&team);
    join_helpers(helpers);
}
END_TEST

START_TEST(helpers_leave_for_news_while_the_leader_goes_on)
{
    struct team team;
    struct helper helpers[HELPERS];
    atomic_uint events = 0;
    team_init(&team, MEMBERS);
    team_open(&team);
    start_helpers(helpers, &team, &events);
    wait_for_helpers(&team, HELPERS);
    atomic_store(&events, 1);
    for (int i = 0; i < SHARES; i++)
        share_and_check(&team);
    join_helpers(helpers);
    ck_assert_uint_eq(atomic_load(&team.helpers), 0);
    team_close(&team);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("team");
    TCase *tests = tcase_create("team");
    tcase_add_test(tests, a_leader_without_helpers_computes_alone);
    tcase_add_test(tests, every_part_is_computed_once);
    tcase_add_test(tests, no_more_helpers_are_taken_than_members);
    tcase_add_test(tests, helpers_leave_for_news_while_the_leader_goes_on);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
