/* Rows of text cells -> floats, and floats -> cells. */
#ifndef CORE_TABLE_ENCODE_H
#define CORE_TABLE_ENCODE_H

#include "core/table/schema.h"

/* Rows with missing cells. */
enum missing_policy { MISSING_DROP, MISSING_IMPUTE };
const char *missing_policy_name(enum missing_policy policy);
bool missing_policy_find(const char *name, enum missing_policy *out);

/* Encodes one row into out: [schema_width]. *complete = false when a cell was missing: with DROP
   the row is then left out by the caller, with IMPUTE out holds the mean or the most frequent
   level. 0, or ERR_FORMAT ("line 7, column Sex": a level or number the schema does not know). */
int encode_row(float *out, bool *complete, const struct schema *schema, const char *const *cells,
               const size_t *lengths, uint64_t line, struct err *err);

/* One decoded cell. */
struct cell {
    enum column_kind kind;
    double number;     /* numeric: rounded to the column's decimals; integer: a whole number */
    size_t level;      /* categorical: index into column->levels */
};

/* in: [schema_width] at any point of a trajectory; out: [schema->count]. The level is the
   largest of its block, the first of equals. */
void decode_row(struct cell *out, const struct schema *schema, const float *in);

#endif
