/* The columns of a table and how rows become floats: numeric and integer columns are standardised,
   categorical ones are one-hot over their levels. */
#ifndef CORE_TABLE_SCHEMA_H
#define CORE_TABLE_SCHEMA_H

#include "config/limits.h"
#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum column_kind { COLUMN_NUMERIC, COLUMN_INTEGER, COLUMN_CATEGORICAL };

/* "numeric", "integer", "categorical". */
const char *column_kind_name(enum column_kind kind);
bool column_kind_find(const char *name, enum column_kind *out);

/* Digits behind the point: none are cut, and the value is written as the shortest float32. */
enum { DECIMALS_MAX = 15, DECIMALS_FREE = 16 };

struct column {
    char *name; /* owned, UTF-8 */
    enum column_kind kind;
    uint64_t present;  /* cells with a value */
    uint64_t missing;  /* cells without one: see cell_missing */
    double mean, std;  /* of numeric and integer columns, over all rows (population); std = 1 where
                          the column is constant */
    double min, max;   /* NaN where a checkpoint does not say them */
    unsigned decimals; /* most digits behind the point that were seen (0..15): samples keep them;
                          DECIMALS_FREE where a cell had an exponent or more digits */
    char **levels;     /* [level_count] owned, exact text, in order of first appearance */
    uint64_t *level_rows; /* [level_count] owned, rows with that level */
    size_t level_count;   /* of categorical columns */
};

struct schema {
    struct column *columns; /* [count] owned */
    size_t count;
    uint64_t rows; /* data rows read, rows with missing cells included */
};

void schema_release(struct schema *schema);
/* Floats of one encoded row: 1 a number, level_count a category. */
size_t schema_width(const struct schema *schema);
size_t column_width(const struct column *column);
/* The level of exactly that text; column->level_count when there is none. */
size_t column_level(const struct column *column, const char *text, size_t length);
/* d numeric columns x0 .. x{d-1} with mean 0, std 1 and free decimals, so that every float comes
   back as it is: the schema of a field that says nothing about its columns. 0 or ERR_NOMEM. */
int schema_plain(struct schema *schema, size_t dim);
/* schema->count when there is no such column. */
size_t schema_find(const struct schema *schema, const char *name);

#endif
