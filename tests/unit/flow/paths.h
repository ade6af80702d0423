/* One path of every kind, for tests that run over all of them. */
#ifndef TESTS_UNIT_FLOW_PATHS_H
#define TESTS_UNIT_FLOW_PATHS_H

#include "core/flow/path.h"
#include "core/flow/schedule.h"
#include "tests/unit/unit.h"

enum { PATHS = 11 };

struct paths {
    struct path all[PATHS];
    const char *names[PATHS];
};

static const double table_t[] = {0, 0.1, 0.4, 0.45, 0.8, 1};
static const double table_alpha[] = {0, 0.05, 0.5, 0.52, 0.97, 1};
static const double table_beta[] = {1, 0.98, 0.7, 0.6, 0.6, 0.01};

static inline void paths_init(struct paths *paths)
{
    static const struct schedule_table table = {table_t, table_alpha, table_beta, 6};
    static const struct schedule_rule linear = {PATH_SCHEDULE_LINEAR, 1000, 1e-4, 0.02};
    static const struct schedule_rule cosine = {.schedule = PATH_SCHEDULE_COSINE, .steps = 50};
    static const char *const names[PATHS] = {
        "linear", "ot", "cosine", "polynomial 1.5", "polynomial 3", "linear_vp",
        "vp",     "ve", "ddpm",   "ddpm cosine",    "table"};
    *paths = (struct paths){
        .all =
            {
                {.kind = PATH_LINEAR},
                {.kind = PATH_OT, .sigma_min = 0.1},
                {.kind = PATH_COSINE},
                {.kind = PATH_POLYNOMIAL, .n = 1.5},
                {.kind = PATH_POLYNOMIAL, .n = 3},
                {.kind = PATH_LINEAR_VP},
                {.kind = PATH_VP, .beta_min = 0.1, .beta_max = 20},
                {.kind = PATH_VE, .sigma_min = 0.02, .sigma_max = 10},
            },
    };
    for (int i = 0; i < PATHS; i++)
        paths->names[i] = names[i];
    ck_assert_int_eq(schedule_rule(&paths->all[8], &linear, NULL), 0);
    ck_assert_int_eq(schedule_rule(&paths->all[9], &cosine, NULL), 0);
    ck_assert_int_eq(schedule_table(&paths->all[10], &table, NULL), 0);
}

static inline void paths_release(struct paths *paths)
{
    for (int i = 0; i < PATHS; i++)
        path_release(&paths->all[i]);
}

#endif
