/* Numbers as text: shortest digits that read back as the same value, and strict reading, both free
   of locales. A shim over libstdc++'s to_chars and from_chars. Thread: any. */
#ifndef CORE_BASE_NUMBER_H
#define CORE_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { NUMBER_TEXT = 32 }; /* room that any of the writers needs */

/* Return the length; no NUL is written. value must be finite. Valid JSON; without an exponent where
   the size lies between 1e-5 and 1e15. */
size_t number_write_float(char *out, float value);
size_t number_write_double(char *out, double value);
size_t number_write_integer(char *out, int64_t value);
/* The whole text must be one decimal number ("1", "-2.5", "1e-3", ".5", "5."; "+1" too), finite,
   and in range (neither 1e999 nor 1e-999); no hex, no inf or nan, no spaces. *decimals: digits
   behind the point, or SIZE_MAX where an exponent stands; *integer: neither point nor exponent.
   Either may be NULL. */
bool number_read(const char *text, size_t size, double *value, size_t *decimals, bool *integer);

#ifdef __cplusplus
}
#endif

#endif
