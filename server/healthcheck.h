/* advectd --healthcheck: asks a running daemon whether it is ready, for containers without curl. */
#ifndef SERVER_HEALTHCHECK_H
#define SERVER_HEALTHCHECK_H

#include "core/base/err.h"

/* listen: as for --listen; a wildcard address is asked through loopback. Waits at most some
   seconds. 0: ready. ERR_UNAVAILABLE: it answers otherwise. ERR_INVALID, ERR_IO: no answer. */
int healthcheck_run(const char *listen, struct err *err);

#endif
