#include "server/timestamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t timestamp_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void timestamp_text(char *out, int64_t ms)
{
    int64_t seconds = ms / 1000;
    int64_t rest = ms % 1000;
    if (rest < 0) {
        rest += 1000;
        seconds--;
    }
    time_t time = (time_t)seconds;
    struct tm utc;
    char text[24];
    if (!gmtime_r(&time, &utc) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc))
        memcpy(text, "1970-01-01T00:00:00", sizeof "1970-01-01T00:00:00");
    snprintf(out, TIMESTAMP_TEXT, "%s.%03dZ", text, (int)rest);
}
