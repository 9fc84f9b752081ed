// The elementwise functions once more, as functions of vectors: what chains are put together from (targets/web/assemble.py).
// They stand in no bundle: an export takes their instructions.
#define CONSTANTS_IN_CODE
#include "unary.h"

#define LANES(name, expression)                                         \
    __attribute__((export_name("lanes_" #name))) f4 lanes_##name(f4 v, f4 p, f4 q) { \
        (void)p, (void)q;                                               \
        return (expression);                                            \
    }

UNARY_FUNCTIONS(LANES)
