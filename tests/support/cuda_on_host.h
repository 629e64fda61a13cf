// What a CUDA kernel takes for granted, for g++: one fiber per CUDA thread, run by cuda_on_host.cpp.
//
// No header is included, so that a module compiles in a moment, and so that what NVRTC does not know without
// one (INFINITY, int32_t) is not known here either.
#pragma once
#define CUDA_ON_HOST 1

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
// __shared__ is not defined: shared memory of a fixed size would be one array for all blocks.
#define shared_bytes (cuda_on_host::shared_memory)

namespace cuda_on_host {
using Word = unsigned long long;
struct Index { unsigned x, y, z; };
enum class Wait { nowhere, syncthreads, cluster_sync, mailbox, syncwarp, shfl, shfl_xor, shfl_down, exited };

// Of the thread that runs; the runtime sets them whenever it switches.
extern Index threadIdx, blockIdx, blockDim, gridDim;
extern unsigned char* shared_memory;

void block_barrier();
void cluster_barrier();
// Waits for all lanes of the mask, gives what `source` (a lane, a lane mask or a distance) says.
Word exchange(Wait kind, unsigned mask, Word value, int bytes, int source, int width);
const void* in_cluster(const void* own_shared_address, int bytes, unsigned rank);
void open_mailbox(void* mailbox);
void expect(void* mailbox, int bytes);
void send(void* own_slot, Word value, void* own_mailbox, unsigned rank);
void wait_for(void* mailbox, unsigned parity);
unsigned rank_in_cluster();
unsigned blocks_in_cluster();
void aligned(const void* address, int bytes);

template <class To, class From> inline To bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}

template <class T> inline T shuffle(Wait kind, unsigned mask, T value, int source, int width) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle takes 4 or 8 bytes");
    Word word = 0;
    __builtin_memcpy(&word, &value, sizeof value);
    word = exchange(kind, mask, word, sizeof value, source, width);
    __builtin_memcpy(&value, &word, sizeof value);
    return value;
}

// A kernel's parameters, from words of 8 bytes.
template <int... I> struct Positions {};
template <int N, int... I> struct Count : Count<N - 1, N - 1, I...> {};
template <int... I> struct Count<0, I...> { using Type = Positions<I...>; };

template <class T> struct Kind;
template <class T> struct Kind<T*> { static constexpr char letter = 'p'; };
template <> struct Kind<long long> { static constexpr char letter = 'i'; };
template <> struct Kind<unsigned long long> { static constexpr char letter = 'i'; };
template <> struct Kind<double> { static constexpr char letter = 'd'; };

template <class... P, int... I>
inline void call_at(void (*kernel)(P...), const Word* words, Positions<I...>) {
    kernel(bits<P>(words[I])...);
}
template <class... P> inline void call(void (*kernel)(P...), const Word* words) {
    call_at(kernel, words, typename Count<sizeof...(P)>::Type());
}
template <class... P> inline const char* kinds(void (*)(P...)) {
    static const char letters[] = {Kind<P>::letter..., 0};
    return letters;
}
}  // namespace cuda_on_host

using cuda_on_host::threadIdx, cuda_on_host::blockIdx, cuda_on_host::blockDim, cuda_on_host::gridDim;

inline void __syncthreads() { cuda_on_host::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    cuda_on_host::exchange(cuda_on_host::Wait::syncwarp, mask, 0, 0, 0, 32);
}
template <class T> inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
    return cuda_on_host::shuffle(cuda_on_host::Wait::shfl, mask, value, lane, width);
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
    return cuda_on_host::shuffle(cuda_on_host::Wait::shfl_xor, mask, value, lane_mask, width);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32) {
    return cuda_on_host::shuffle(cuda_on_host::Wait::shfl_down, mask, value, distance, width);
}

inline unsigned cluster_rank() { return cuda_on_host::rank_in_cluster(); }
inline unsigned cluster_blocks() { return cuda_on_host::blocks_in_cluster(); }
inline void cluster_sync() { cuda_on_host::cluster_barrier(); }
template <class T> inline T cluster_load(const T* own_shared_address, unsigned rank) {
    T value;
    __builtin_memcpy(&value, cuda_on_host::in_cluster(own_shared_address, sizeof value, rank), sizeof value);
    return value;
}
// A mailbox counts what has been sent to a block: a phase is over when all bytes that were expected are there.
inline void mailbox_open(cuda_on_host::Word* mailbox) { cuda_on_host::open_mailbox(mailbox); }
inline void mailbox_expect(cuda_on_host::Word* mailbox, int bytes) { cuda_on_host::expect(mailbox, bytes); }
template <class T> inline void mailbox_send(T* own, T value, cuda_on_host::Word* mailbox, unsigned rank) {
    cuda_on_host::Word word = 0;
    __builtin_memcpy(&word, &value, sizeof value);
    cuda_on_host::send(own, word, mailbox, rank);
}
inline void mailbox_wait(cuda_on_host::Word* mailbox, unsigned parity) { cuda_on_host::wait_for(mailbox, parity); }
inline void check_aligned(const void* address, int bytes) { cuda_on_host::aligned(address, bytes); }

template <class T> inline T __ldg(const T* address) { return *address; }
inline float __int_as_float(int value) { return cuda_on_host::bits<float>(value); }
inline float __uint_as_float(unsigned value) { return cuda_on_host::bits<float>(value); }
inline double __longlong_as_double(long long value) { return cuda_on_host::bits<double>(value); }
inline int __float_as_int(float value) { return cuda_on_host::bits<int>(value); }
inline unsigned __float_as_uint(float value) { return cuda_on_host::bits<unsigned>(value); }
inline long long __double_as_longlong(double value) { return cuda_on_host::bits<long long>(value); }

// To the nearest, ties to even; a NaN stays one.
inline float half_to_float(unsigned short value) {
    using cuda_on_host::bits;
    unsigned sign = unsigned(value & 0x8000) << 16, exponent = value >> 10 & 31, fraction = value & 1023;
    if (exponent == 31) return bits<float>(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) return bits<float>(sign | bits<unsigned>(float(fraction) * 0x1p-24f));
    return bits<float>(sign | (exponent + 112) << 23 | fraction << 13);
}
inline unsigned short float_to_half(float value) {
    using cuda_on_host::bits;
    unsigned word = bits<unsigned>(value), sign = word >> 16 & 0x8000, size = word & 0x7fffffff;
    if (size > 0x7f800000) return 0x7fff;
    if (size >= 0x477ff000) return sign | 0x7c00;  // 65520 and above
    // Below the smallest normal number: what float's own rounding leaves of a sum with 0.5 is the fraction.
    if (size < 0x38800000) return sign | (bits<unsigned>(bits<float>(size) + 0.5f) - 0x3f000000);
    return sign | ((size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
}
inline float bfloat16_to_float(unsigned short value) {
    return cuda_on_host::bits<float>(unsigned(value) << 16);
}
inline unsigned short float_to_bfloat16(float value) {
    unsigned word = cuda_on_host::bits<unsigned>(value);
    if ((word & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return (word + 0x7fff + (word >> 16 & 1)) >> 16;
}

// The functions of C with their two names, and CUDA's overload for float.
#define ONE_ARGUMENT(name)            \
    extern "C" double name(double);   \
    extern "C" float name##f(float);  \
    inline float name(float value) { return name##f(value); }
#define TWO_ARGUMENTS(name)                  \
    extern "C" double name(double, double);  \
    extern "C" float name##f(float, float);  \
    inline float name(float left, float right) { return name##f(left, right); }
ONE_ARGUMENT(acos) ONE_ARGUMENT(acosh) ONE_ARGUMENT(asin) ONE_ARGUMENT(asinh) ONE_ARGUMENT(atan)
ONE_ARGUMENT(atanh) ONE_ARGUMENT(cbrt) ONE_ARGUMENT(ceil) ONE_ARGUMENT(cos) ONE_ARGUMENT(cosh)
ONE_ARGUMENT(erf) ONE_ARGUMENT(erfc) ONE_ARGUMENT(exp) ONE_ARGUMENT(exp2) ONE_ARGUMENT(expm1)
ONE_ARGUMENT(fabs) ONE_ARGUMENT(floor) ONE_ARGUMENT(lgamma) ONE_ARGUMENT(log) ONE_ARGUMENT(log10)
ONE_ARGUMENT(log1p) ONE_ARGUMENT(log2) ONE_ARGUMENT(nearbyint) ONE_ARGUMENT(rint) ONE_ARGUMENT(round)
ONE_ARGUMENT(sin) ONE_ARGUMENT(sinh) ONE_ARGUMENT(sqrt) ONE_ARGUMENT(tan) ONE_ARGUMENT(tanh)
ONE_ARGUMENT(tgamma) ONE_ARGUMENT(trunc)
TWO_ARGUMENTS(atan2) TWO_ARGUMENTS(copysign) TWO_ARGUMENTS(fmax) TWO_ARGUMENTS(fmin) TWO_ARGUMENTS(fmod)
TWO_ARGUMENTS(hypot) TWO_ARGUMENTS(nextafter) TWO_ARGUMENTS(pow) TWO_ARGUMENTS(remainder)
#undef ONE_ARGUMENT
#undef TWO_ARGUMENTS
extern "C" double fma(double, double, double);
extern "C" float fmaf(float, float, float);
inline float fma(float left, float right, float added) { return fmaf(left, right, added); }
inline double rsqrt(double value) { return 1.0 / sqrt(value); }
inline float rsqrtf(float value) { return float(1.0 / sqrt(double(value))); }
inline float rsqrt(float value) { return rsqrtf(value); }
inline bool isnan(float value) { return __builtin_isnan(value); }
inline bool isnan(double value) { return __builtin_isnan(value); }
inline bool isinf(float value) { return __builtin_isinf(value); }
inline bool isinf(double value) { return __builtin_isinf(value); }
inline bool isfinite(float value) { return __builtin_isfinite(value); }
inline bool isfinite(double value) { return __builtin_isfinite(value); }
inline bool signbit(float value) { return __builtin_signbit(value); }
inline bool signbit(double value) { return __builtin_signbit(value); }

inline int abs(int value) { return value < 0 ? -value : value; }
inline long long abs(long long value) { return value < 0 ? -value : value; }
inline float abs(float value) { return fabsf(value); }
inline double abs(double value) { return fabs(value); }
// As CUDA's: of a number and a NaN, the number.
inline float max(float left, float right) { return fmaxf(left, right); }
inline float min(float left, float right) { return fminf(left, right); }
inline double max(double left, double right) { return fmax(left, right); }
inline double min(double left, double right) { return fmin(left, right); }
inline int max(int left, int right) { return left < right ? right : left; }
inline int min(int left, int right) { return right < left ? right : left; }
inline long long max(long long left, long long right) { return left < right ? right : left; }
inline long long min(long long left, long long right) { return right < left ? right : left; }
inline unsigned max(unsigned left, unsigned right) { return left < right ? right : left; }
inline unsigned min(unsigned left, unsigned right) { return right < left ? right : left; }
