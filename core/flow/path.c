#include "core/flow/path.h"

#include "core/base/check.h"

#include <stddef.h>
#include <string.h>

static struct path_point path_linear(double t)
{
    return (struct path_point){.alpha = t, .beta = 1.0 - t, .dalpha = 1.0, .dbeta = -1.0};
}

static const struct {
    const char *name;
    struct path_point (*at)(double t);
} path_table[] = {
    [PATH_LINEAR] = {"linear", path_linear},
};

enum { PATH_COUNT = sizeof path_table / sizeof path_table[0] };

struct path_point path_at(enum path_kind kind, double t)
{
    check((size_t)kind < PATH_COUNT);
    return path_table[kind].at(t);
}

const char *path_name(enum path_kind kind)
{
    check((size_t)kind < PATH_COUNT);
    return path_table[kind].name;
}

bool path_find(const char *name, enum path_kind *out)
{
    for (size_t i = 0; i < PATH_COUNT; i++) {
        if (strcmp(path_table[i].name, name) == 0) {
            *out = (enum path_kind)i;
            return true;
        }
    }
    return false;
}
