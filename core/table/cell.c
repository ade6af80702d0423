#include "core/table/cell.h"

#include "core/base/number.h"
#include "core/table/schema.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Blanks around a cell. */
static void trim(const char **cell, size_t *length)
{
    while (*length && (**cell == ' ' || **cell == '\t')) {
        (*cell)++;
        (*length)--;
    }
    while (*length && ((*cell)[*length - 1] == ' ' || (*cell)[*length - 1] == '\t'))
        (*length)--;
}

bool cell_missing(const char *cell, size_t length)
{
    static const char *const words[] = {"", "NA", "N/A", "NaN", "null", "None", "?"};
    trim(&cell, &length);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i]) == length && strncasecmp(words[i], cell, length) == 0)
            return true;
    return false;
}

bool cell_number(const char *cell, size_t length, double *value, unsigned *decimals, bool *integer)
{
    double number;
    size_t digits;
    trim(&cell, &length);
    if (!number_read(cell, length, &number, &digits, integer) || fabs(number) > (double)FLT_MAX)
        return false;
    *value = number;
    *decimals = digits > DECIMALS_MAX ? DECIMALS_FREE : (unsigned)digits;
    return true;
}

int cell_error(struct err *err, const char *column, uint64_t line, const char *format, ...)
{
    char where[sizeof err->where], message[sizeof err->message];
    snprintf(where, sizeof where, "line %llu, column %s", (unsigned long long)line, column);
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return err_set(err, ERR_FORMAT, where, "%s", message);
}
