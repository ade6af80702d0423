/* Tables as rows of text, for the tests of this folder. */
#ifndef TESTS_UNIT_TABLE_TABLE_HELP_H
#define TESTS_UNIT_TABLE_TABLE_HELP_H

#include "core/table/infer.h"

/* Cells of one row, split at commas; no quotes. */
enum { TABLE_CELLS = 1100 };
struct table_row {
    char *text; /* owned */
    const char *cells[TABLE_CELLS];
    size_t lengths[TABLE_CELLS];
    size_t count;
};

void table_row_split(struct table_row *row, const char *text);
void table_row_free(struct table_row *row);

struct table_override {
    const char *name;
    enum column_kind kind;
};

/* text: lines ended by \n, the first of names. overrides: ended by a NULL name, or NULL. */
int table_infer(struct schema *schema, const char *text, const struct table_override *overrides,
                struct err *err);
/* The whole file, to be freed by the caller. */
char *table_file(const char *path);

#endif
