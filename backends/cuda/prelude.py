"""What emitted CUDA begins with: arithmetic as NumPy has it, and loads and stores of vectors."""

from .prelude_groups import GROUPS

_NUMBERS = """\
#ifndef CUDA_ON_HOST
extern __shared__ __align__(16) unsigned char shared_bytes[];
__device__ __forceinline__ void check_aligned(const void*, int) {}

// Half precisions are sixteen bits in memory, and floats everywhere else. The first is the device's own; the
// second is the upper half of a float.
__device__ __forceinline__ float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
__device__ __forceinline__ unsigned short float_to_half(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
__device__ __forceinline__ float bfloat16_to_float(unsigned short bits) {
    return __uint_as_float((unsigned)bits << 16);
}
#if __CUDA_ARCH__ >= 800
__device__ __forceinline__ unsigned short float_to_bfloat16(float value) {
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
// Two at once, the first in the lower half.
__device__ __forceinline__ unsigned floats_to_halves(float first, float second) {
    unsigned bits;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
    return bits;
}
__device__ __forceinline__ unsigned floats_to_bfloat16s(float first, float second) {
    unsigned bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
    return bits;
}
#else
__device__ __forceinline__ unsigned short float_to_bfloat16(float value) {
    const unsigned bits = __float_as_uint(value);
    if (value != value) return (unsigned short)(bits >> 16 | 64);  // no NaN becomes an infinity
    return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // to nearest, ties to even
}
#endif
#else
#define __cluster_dims__(...)
#endif
#if !(__CUDA_ARCH__ >= 800)
__device__ __forceinline__ unsigned floats_to_halves(float first, float second) {
    return float_to_half(first) | (unsigned)float_to_half(second) << 16;
}
__device__ __forceinline__ unsigned floats_to_bfloat16s(float first, float second) {
    return float_to_bfloat16(first) | (unsigned)float_to_bfloat16(second) << 16;
}
#endif

template <class T> __device__ __forceinline__ T infinity();
template <> __device__ __forceinline__ float infinity<float>() { return __int_as_float(0x7f800000); }
template <> __device__ __forceinline__ double infinity<double>() {
    return __longlong_as_double(0x7ff0000000000000LL);
}
template <class T> __device__ __forceinline__ T not_a_number();
template <> __device__ __forceinline__ float not_a_number<float>() { return __int_as_float(0x7fc00000); }
template <> __device__ __forceinline__ double not_a_number<double>() {
    return __longlong_as_double(0x7ff8000000000000LL);
}

// Unlike fmax and fmin, these give NaN where either is NaN.
template <class T> __device__ __forceinline__ T maximum(T a, T b) { return a > b || a != a ? a : b; }
template <class T> __device__ __forceinline__ T minimum(T a, T b) { return a < b || a != a ? a : b; }
#if __CUDA_ARCH__ >= 800
template <> __device__ __forceinline__ float maximum(float a, float b) {
    float larger;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
    return larger;
}
template <> __device__ __forceinline__ float minimum(float a, float b) {
    float smaller;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(smaller) : "f"(a), "f"(b));
    return smaller;
}
#endif
#ifndef CUDA_ON_HOST
__device__ __forceinline__ float power_of_two(float a) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(a));
    return power;
}
#else
inline float power_of_two(float a) { return exp2f(a); }
#endif
// exp(a) to 6e-6 of its value, which a half precision does not see, in three instructions. The square of half
// the exponent's power: so results below the smallest normal float are right too.
__device__ __forceinline__ float exp_for_halves(float a) {
    const float root = power_of_two(a * 0.72134752f);
    return root * root;
}
template <class T> __device__ __forceinline__ T sign_of(T a) {
    return a > T(0) ? T(1) : a < T(0) ? T(-1) : T(a + T(0));  // of both zeros the positive one
}

// Quotient and remainder as in Python: the remainder has the sign of the divisor. Division of integers by
// zero is 0, as in NumPy.
template <class T> __device__ __forceinline__ T remainder_of(T a, T b) {
    if (b == T(0) || (T(-1) < T(0) && b == T(-1))) return T(0);  // the second would overflow
    if (sizeof(T) == 8 && ((unsigned long long)(a) | (unsigned long long)(b)) >> 32 == 0)
        return T((unsigned)(a) % (unsigned)(b));  // a division of 64 bits takes several times as long
    const T r = T(a % b);
    return r != T(0) && (r < T(0)) != (b < T(0)) ? T(r + b) : r;
}
template <class T> __device__ __forceinline__ T floor_divide(T a, T b) {
    if (b == T(0)) return T(0);
    if (T(-1) < T(0) && b == T(-1)) return T(0ULL - (unsigned long long)(a));
    return T(a / b - (a % b != T(0) && (a < T(0)) != (b < T(0)) ? 1 : 0));
}
// A shift by at least the width moves all bits out, as in NumPy.
template <class T> __device__ __forceinline__ T shifted_left(T a, T n) {
    return (unsigned long long)(n) < 8 * sizeof(T) ? T((unsigned long long)(a) << n) : T(0);
}
template <class T> __device__ __forceinline__ T shifted_right(T a, T n) {
    return (unsigned long long)(n) < 8 * sizeof(T) ? T(a >> n) : a < T(0) ? T(-1) : T(0);
}
template <class T> __device__ __forceinline__ T float_remainder(T a, T b) {
    T r = fmod(a, b);
    if (r != T(0) ? (r < T(0)) != (b < T(0)) : false) r += b;
    return r == T(0) ? copysign(T(0), b) : r;
}
template <class T> __device__ __forceinline__ T float_floor_divide(T a, T b) {
    if (b == T(0)) return a / b;
    const T r = fmod(a, b);
    T q = (a - r) / b;
    if (r != T(0) && (r < T(0)) != (b < T(0))) q -= T(1);
    if (q == T(0)) return copysign(T(0), a / b);
    const T f = floor(q);
    return q - f > T(0.5) ? f + T(1) : f;
}
template <> __device__ __forceinline__ float remainder_of(float a, float b) {
    return float_remainder(a, b);
}
template <> __device__ __forceinline__ double remainder_of(double a, double b) {
    return float_remainder(a, b);
}
template <> __device__ __forceinline__ float floor_divide(float a, float b) {
    return float_floor_divide(a, b);
}
template <> __device__ __forceinline__ double floor_divide(double a, double b) {
    return float_floor_divide(a, b);
}
template <class T> __device__ __forceinline__ T whole_power(T a, T b) {
    T power = T(1);
    for (unsigned long long n = b < T(0) ? 0 : (unsigned long long)(b); n; n >>= 1, a = T(a * a))
        if (n & 1) power = T(power * a);
    return power;
}

struct Sum { template <class T> __device__ T operator()(T a, T b) const { return T(a + b); } };
struct Product { template <class T> __device__ T operator()(T a, T b) const { return T(a * b); } };
struct Maximum { template <class T> __device__ T operator()(T a, T b) const { return maximum(a, b); } };
struct Minimum { template <class T> __device__ T operator()(T a, T b) const { return minimum(a, b); } };
struct Any { template <class T> __device__ T operator()(T a, T b) const { return a | b; } };
struct All { template <class T> __device__ T operator()(T a, T b) const { return a & b; } };

// A number of a row's as one of the columns that a thread has in registers; -1 where it is none.
template <class T> __device__ __forceinline__ int as_column(T number) {
    return number >= T(0) && number <= T(0x7fffffff) ? (int)(number) : -1;
}

// N elements at once: one load or store of up to 16 bytes, from an address that their size divides.
template <class T, int N> struct __align__(sizeof(T) * N) Vector { T element[N]; };
template <int N, class T> __device__ __forceinline__ void load(T (&to)[N], const T* from) {
    check_aligned(from, sizeof(T) * N);
    const Vector<T, N> vector = *reinterpret_cast<const Vector<T, N>*>(from);
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = vector.element[i];
}
template <int N, class T> __device__ __forceinline__ void store(T* to, const T (&from)[N]) {
    check_aligned(to, sizeof(T) * N);
    Vector<T, N> vector;
#pragma unroll
    for (int i = 0; i < N; ++i) vector.element[i] = from[i];
    *reinterpret_cast<Vector<T, N>*>(to) = vector;
}
template <int N> __device__ __forceinline__ void store_half(unsigned short* to, const float (&from)[N]) {
    if constexpr (N == 1) {
        *to = float_to_half(from[0]);
    } else {
        unsigned pairs[N / 2];
#pragma unroll
        for (int i = 0; i < N / 2; ++i) pairs[i] = floats_to_halves(from[2 * i], from[2 * i + 1]);
        store<N / 2>(reinterpret_cast<unsigned*>(to), pairs);
    }
}
template <int N> __device__ __forceinline__ void store_bfloat16(unsigned short* to, const float (&from)[N]) {
    if constexpr (N == 1) {
        *to = float_to_bfloat16(from[0]);
    } else {
        unsigned pairs[N / 2];
#pragma unroll
        for (int i = 0; i < N / 2; ++i) pairs[i] = floats_to_bfloat16s(from[2 * i], from[2 * i + 1]);
        store<N / 2>(reinterpret_cast<unsigned*>(to), pairs);
    }
}
"""

PRELUDE = f"{_NUMBERS}\n{GROUPS}"
