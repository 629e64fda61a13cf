"""What emitted CUDA begins with: arithmetic as NumPy has it, loads of vectors, and reductions of a group.

A group is the threads that share a row: some lanes of a warp, a block, or the blocks of a cluster.
"""

PRELUDE = """\
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
__device__ __forceinline__ unsigned short float_to_bfloat16(float value) {
    const unsigned bits = __float_as_uint(value);
    if (value != value) return (unsigned short)(bits >> 16 | 64);  // no NaN becomes an infinity
    return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // to nearest, ties to even
}
#else
#define __cluster_dims__(...)
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
template <class T> __device__ __forceinline__ T sign_of(T a) {
    return a > T(0) ? T(1) : a < T(0) ? T(-1) : a;
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

// Bits that travel through shuffles and shared memory.
template <class T> __device__ __forceinline__ T shuffled(T value, int offset) {
    return __shfl_xor_sync(0xffffffffu, value, offset);
}
template <> __device__ __forceinline__ bool shuffled(bool value, int offset) {
    return __shfl_xor_sync(0xffffffffu, (int)value, offset) != 0;
}

#ifndef CUDA_ON_HOST
// The blocks of a cluster live on neighbouring processors and read each other's shared memory.
#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ unsigned cluster_rank() {
    unsigned rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
template <class T> __device__ __forceinline__ T cluster_load(const T* own, unsigned rank) {
    const unsigned here = (unsigned)__cvta_generic_to_shared(own);
    unsigned there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(rank));
    unsigned long long bits;  // every value has a slot of eight bytes
    asm volatile("ld.shared::cluster.u64 %0, [%1];" : "=l"(bits) : "r"(there) : "memory");
    return *reinterpret_cast<T*>(&bits);
}
#else
__device__ __forceinline__ unsigned cluster_rank() { return 0; }
__device__ __forceinline__ void cluster_sync() { __syncthreads(); }
template <class T> __device__ __forceinline__ T cluster_load(const T* own, unsigned) { return *own; }
#endif
#endif

// A value of every thread of a group, combined in the same order in every run; all threads get it. Each
// combination of a block writes to the half of the shared memory that the one before did not use, so that
// a single barrier does: who writes to a half again has passed the barrier behind all who read it.
template <int GROUP, int CLUSTER> struct Group {
    static constexpr int WARPS = (GROUP + 31) / 32;
    static constexpr int SLOTS = WARPS + 1;  // one for each warp, and one for the block
    int turn = 0;

    template <class T, class Join> __device__ __forceinline__ T combine(T value, Join join) {
#pragma unroll
        for (int offset = (GROUP < 32 ? GROUP : 32) / 2; offset; offset /= 2)
            value = join(value, shuffled(value, offset));
        if constexpr (GROUP > 32) {
            unsigned char* const half = shared_bytes + turn * SLOTS * 8;
            T* const of_warps = reinterpret_cast<T*>(half);
            turn ^= 1;
            if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
            __syncthreads();
            value = of_warps[0];
#pragma unroll
            for (int warp = 1; warp < WARPS; ++warp) value = join(value, of_warps[warp]);
            if constexpr (CLUSTER > 1) {
                T* const of_block = reinterpret_cast<T*>(half + WARPS * 8);
                if (threadIdx.x == 0) *of_block = value;
                cluster_sync();
                value = cluster_load(of_block, 0);
#pragma unroll
                for (int block = 1; block < CLUSTER; ++block)
                    value = join(value, cluster_load(of_block, block));
            }
        }
        return value;
    }

    // Nobody goes on before all threads of the group are here.
    __device__ __forceinline__ void meet() {
        if constexpr (CLUSTER > 1) cluster_sync();
        else if constexpr (GROUP > 32) __syncthreads();
        else __syncwarp(0xffffffffu);
    }
};
"""
