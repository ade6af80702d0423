/* Wall-clock times, as they are stored (milliseconds since 1970) and shown (RFC 3339, UTC). */
#ifndef SERVER_TIMESTAMP_H
#define SERVER_TIMESTAMP_H

#include <stdint.h>

enum { TIMESTAMP_TEXT = 40 };

/* Thread: any, both. */
int64_t timestamp_now_ms(void);
/* "2026-11-25T01:28:00.123Z". out: [TIMESTAMP_TEXT]. */
void timestamp_text(char *out, int64_t ms);

#endif
