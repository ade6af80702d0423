#include "core/flow/tableau.h"

#include <string.h>

static const struct tableau tableau_table[] = {
    {
        .name = "euler",
        .order = 1,
        .stages = 1,
        .b = {1},
    },
    {
        .name = "midpoint",
        .order = 2,
        .stages = 2,
        .a = {{0}, {0.5f}},
        .b = {0, 1},
        .c = {0, 0.5},
    },
    {
        .name = "heun",
        .order = 2,
        .stages = 2,
        .a = {{0}, {1}},
        .b = {0.5f, 0.5f},
        .c = {0, 1},
    },
    {
        .name = "rk4",
        .order = 4,
        .stages = 4,
        .a = {{0}, {0.5f}, {0, 0.5f}, {0, 0, 1}},
        .b = {1.0f / 6, 1.0f / 3, 1.0f / 3, 1.0f / 6},
        .c = {0, 0.5, 0.5, 1},
    },
    {
        .name = "rk4_38", /* Kutta's 3/8 rule: torchdiffeq's "rk4" */
        .order = 4,
        .stages = 4,
        .a = {{0}, {1.0f / 3}, {-1.0f / 3, 1}, {1, -1, 1}},
        .b = {0.125f, 0.375f, 0.375f, 0.125f},
        .c = {0, 1.0 / 3, 2.0 / 3, 1},
    },
};

enum { TABLEAU_COUNT = sizeof tableau_table / sizeof tableau_table[0] };

const struct tableau *tableau_find(const char *name)
{
    for (size_t i = 0; i < TABLEAU_COUNT; i++)
        if (strcmp(tableau_table[i].name, name) == 0)
            return &tableau_table[i];
    return NULL;
}

const struct tableau *tableau_at(size_t i)
{
    return i < TABLEAU_COUNT ? &tableau_table[i] : NULL;
}
