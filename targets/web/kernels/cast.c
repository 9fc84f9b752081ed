// Between dtypes. float → integer cuts the fraction off and saturates; anything → bool asks whether it is not zero.
#include "simd.h"

#define CAST(name, from, to, expression)                        \
    KERNEL(name)(to *y, const from *x, int count) {             \
        for (int i = 0; i < count; i++) y[i] = (expression);    \
    }

#define WHOLE(v) wasm_i32x4_extract_lane(wasm_i32x4_trunc_sat_f32x4(SPLAT(v)), 0)

CAST(cast_f32_i32, float, i32, WHOLE(x[i]))
CAST(cast_f32_u8, float, uint8_t, (uint8_t)WHOLE(x[i]))
CAST(cast_f32_bool, float, uint8_t, x[i] != 0)
CAST(cast_i32_f32, i32, float, (float)x[i])
CAST(cast_i32_u8, i32, uint8_t, (uint8_t)x[i])
CAST(cast_i32_bool, i32, uint8_t, x[i] != 0)
CAST(cast_u8_f32, uint8_t, float, (float)x[i])
CAST(cast_u8_i32, uint8_t, i32, (i32)x[i])
CAST(cast_u8_bool, uint8_t, uint8_t, x[i] != 0)
CAST(cast_i8_f32, int8_t, float, (float)x[i])
CAST(cast_i8_i32, int8_t, i32, (i32)x[i])
CAST(cast_i8_bool, int8_t, uint8_t, x[i] != 0)
CAST(cast_i32_i8, i32, int8_t, (int8_t)x[i])
