/* The tables, as the steps that lead from an empty database to this version. A released step is
   never edited: a change is a further step. */
#ifndef SERVER_STORE_TABLES_H
#define SERVER_STORE_TABLES_H

#include <stddef.h>

extern const char *const tables_steps[];
extern const size_t tables_step_count;

#endif
