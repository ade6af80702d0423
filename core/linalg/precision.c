#include "core/linalg/precision.h"

#include "core/base/check.h"

#include <string.h>

static const char *const precision_names[] = {
#define PRECISION_ROW(code, name) [PRECISION_##code] = name,
    PRECISIONS(PRECISION_ROW)
#undef PRECISION_ROW
};

const char *precision_name(enum precision precision)
{
    check(precision < PRECISION_COUNT);
    return precision_names[precision];
}

bool precision_find(const char *name, enum precision *out)
{
    for (int i = 0; i < PRECISION_COUNT; i++) {
        if (strcmp(precision_names[i], name) == 0) {
            *out = (enum precision)i;
            return true;
        }
    }
    return false;
}
