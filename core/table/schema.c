#include "core/table/schema.h"

#include "core/base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [COLUMN_NUMERIC] = "numeric",
    [COLUMN_INTEGER] = "integer",
    [COLUMN_CATEGORICAL] = "categorical",
};

enum { KIND_COUNT = sizeof kind_names / sizeof kind_names[0] };

const char *column_kind_name(enum column_kind kind)
{
    return kind_names[kind];
}

bool column_kind_find(const char *name, enum column_kind *out)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (strcmp(kind_names[i], name) == 0) {
            *out = (enum column_kind)i;
            return true;
        }
    }
    return false;
}

static void column_release(struct column *column)
{
    for (size_t i = 0; column->levels && i < column->level_count; i++)
        mem_free(column->levels[i]);
    mem_free(column->levels);
    mem_free(column->level_rows);
    mem_free(column->name);
}

void schema_release(struct schema *schema)
{
    for (size_t i = 0; i < schema->count; i++)
        column_release(&schema->columns[i]);
    mem_free(schema->columns);
    *schema = (struct schema){0};
}

size_t column_width(const struct column *column)
{
    return column->kind == COLUMN_CATEGORICAL ? column->level_count : 1;
}

size_t column_level(const struct column *column, const char *text, size_t length)
{
    size_t i = 0;
    while (i < column->level_count &&
           (strncmp(column->levels[i], text, length) != 0 || column->levels[i][length] != '\0'))
        i++;
    return i;
}

size_t schema_width(const struct schema *schema)
{
    size_t width = 0;
    for (size_t i = 0; i < schema->count; i++)
        width += column_width(&schema->columns[i]);
    return width;
}

int schema_plain(struct schema *schema, size_t dim)
{
    struct schema plain = {.columns = mem_zalloc(dim, sizeof *plain.columns)};
    if (!plain.columns)
        return ERR_NOMEM;
    for (size_t i = 0; i < dim; i++) {
        char name[32];
        snprintf(name, sizeof name, "x%zu", i);
        plain.count = i + 1;
        plain.columns[i] = (struct column){.name = mem_strdup(name),
                                           .kind = COLUMN_NUMERIC,
                                           .std = 1,
                                           .min = (double)NAN,
                                           .max = (double)NAN,
                                           .decimals = DECIMALS_FREE};
        if (!plain.columns[i].name) {
            schema_release(&plain);
            return ERR_NOMEM;
        }
    }
    *schema = plain;
    return 0;
}

size_t schema_find(const struct schema *schema, const char *name)
{
    size_t i = 0;
    while (i < schema->count && strcmp(schema->columns[i].name, name) != 0)
        i++;
    return i;
}
