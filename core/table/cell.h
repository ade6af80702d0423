/* Cells as text: what stands in them, whatever the column. */
#ifndef CORE_TABLE_CELL_H
#define CORE_TABLE_CELL_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True for "", and for NA, N/A, NaN, null, None, ? in any case; blanks around them do not count. */
bool cell_missing(const char *cell, size_t length);
/* number_read without the blanks around it, within the range of float32. *decimals as in a column.
 */
bool cell_number(const char *cell, size_t length, double *value, unsigned *decimals, bool *integer);
/* Fills *err with ERR_FORMAT at "line 7, column Sex" and returns it. */
int cell_error(struct err *err, const char *column, uint64_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
