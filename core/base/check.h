/* Programming errors stop the process at the place where they are seen; they are never returned. */
#ifndef CORE_BASE_CHECK_H
#define CORE_BASE_CHECK_H

/* Prints the failed condition and its place to standard error, then aborts. Thread: any. */
#ifdef __cplusplus
extern "C"
#endif
    __attribute__((noreturn)) void check_failed(const char *condition, const char *file, int line);

/* Always on, release builds included. */
#define check(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

#endif
