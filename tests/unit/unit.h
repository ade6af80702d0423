/* Main of a Check program: one suite, verbose in meson's log, no fork (sanitizers, threads). */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdio.h>

/* Prints "counts: P passed, F failed" for scripts/test, and gives main's exit code. */
static inline int unit_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int run = srunner_ntests_run(runner);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    printf("counts: %d passed, %d failed\n", run - failed, failed);
    return failed ? 1 : 0;
}

#endif
