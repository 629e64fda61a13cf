"""The second part of what emitted CUDA begins with: what the threads that share a row do together.

A group is some lanes of a warp, a block, or the blocks of a cluster. All of its threads take part in
`combine`, and all get the result: `Group<256, 1> group; total = group.combine(own, Sum());`
"""

GROUPS = """\
// Bits that travel through shuffles and shared memory.
template <class T> __device__ __forceinline__ T shuffled(T value, int offset) {
    return __shfl_xor_sync(0xffffffffu, value, offset);
}
template <> __device__ __forceinline__ bool shuffled(bool value, int offset) {
    return __shfl_xor_sync(0xffffffffu, (int)value, offset) != 0;
}

#ifndef CUDA_ON_HOST
// The blocks of a cluster live on neighbouring processors and send each other numbers of eight bytes. A
// mailbox, which is a barrier in shared memory, counts what has arrived. Waiting for that costs nothing else,
// while a barrier of the cluster waits until every store to global memory is seen by the whole device.
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
__device__ __forceinline__ unsigned shared_address(const void* address) {
    return (unsigned)__cvta_generic_to_shared(address);
}
__device__ __forceinline__ unsigned address_in_block(const void* own, unsigned rank) {
    unsigned there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(shared_address(own)), "r"(rank));
    return there;
}
__device__ __forceinline__ void mailbox_open(unsigned long long* mailbox) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(shared_address(mailbox)) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void mailbox_expect(unsigned long long* mailbox, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
                 :: "r"(shared_address(mailbox)), "r"(bytes) : "memory");
}
template <class T>
__device__ __forceinline__ void mailbox_send(T* own, T value, unsigned long long* mailbox, unsigned rank) {
    unsigned long long bits = 0;
    *reinterpret_cast<T*>(&bits) = value;
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.b64 [%0], %1, [%2];"
                 :: "r"(address_in_block(own, rank)), "l"(bits), "r"(address_in_block(mailbox, rank))
                 : "memory");
}
__device__ __forceinline__ void mailbox_wait(unsigned long long* mailbox, unsigned parity) {
    asm volatile("{ .reg .pred done; again: "
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1; "
                 "@!done bra again; }" :: "r"(shared_address(mailbox)), "r"(parity) : "memory");
}
#else
__device__ __forceinline__ unsigned cluster_rank() { return 0; }
__device__ __forceinline__ void cluster_sync() { __syncthreads(); }
__device__ __forceinline__ void mailbox_open(unsigned long long*) {}
__device__ __forceinline__ void mailbox_expect(unsigned long long*, int) {}
template <class T>
__device__ __forceinline__ void mailbox_send(T* own, T value, unsigned long long*, unsigned) { *own = value; }
__device__ __forceinline__ void mailbox_wait(unsigned long long*, unsigned) { __syncthreads(); }
#endif
#endif

// A value of every thread of a group, combined in the same order in every run; all threads get it. Each
// combination writes to the half of the shared memory that the one before did not use, so that a single
// barrier does: who writes to a half again has passed the barrier behind all who read it. The same holds for
// other blocks: who sends to a half again has had the numbers of the combination between from all of them.
template <int GROUP, int CLUSTER> struct Group {
    static constexpr int WARPS = (GROUP + 31) / 32;
    static_assert((GROUP & (GROUP - 1)) == 0 && (CLUSTER & (CLUSTER - 1)) == 0, "powers of two");
    static constexpr int SLOTS = WARPS + (CLUSTER > 1 ? CLUSTER : 0);  // one for each warp and each block
    unsigned calls = 0;

    __device__ __forceinline__ Group() {
        if constexpr (CLUSTER > 1) {
            if (threadIdx.x < 2) mailbox_open(mailbox(threadIdx.x));
            cluster_sync();  // every block of the cluster has begun and is ready to receive
        }
    }

    static __device__ __forceinline__ unsigned long long* mailbox(unsigned half) {
        return reinterpret_cast<unsigned long long*>(shared_bytes) + 2 * SLOTS + half;
    }

    // Combined over lanes of a warp whose numbers differ in the bits below LANES alone.
    template <int LANES, class T, class Join>
    static __device__ __forceinline__ T across(T value, Join join) {
#pragma unroll
        for (int offset = LANES / 2; offset; offset /= 2) value = join(value, shuffled(value, offset));
        return value;
    }

    template <class T, class Join> __device__ __forceinline__ T combine(T value, Join join) {
        value = across<(GROUP < 32 ? GROUP : 32)>(value, join);
        if constexpr (GROUP > 32) {
            const unsigned half = calls % 2, parity = calls / 2 % 2;
            ++calls;
            T* const of_warps = reinterpret_cast<T*>(shared_bytes + half * SLOTS * 8);
            if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
            __syncthreads();
            value = across<WARPS>(of_warps[threadIdx.x % WARPS], join);
            if constexpr (CLUSTER > 1) {
                unsigned char* const of_blocks = shared_bytes + (half * SLOTS + WARPS) * 8;
                if (threadIdx.x == 0) mailbox_expect(mailbox(half), CLUSTER * 8);
                if (threadIdx.x < CLUSTER)
                    mailbox_send(reinterpret_cast<T*>(of_blocks + cluster_rank() * 8), value, mailbox(half),
                                 threadIdx.x);
                mailbox_wait(mailbox(half), parity);
                value = across<CLUSTER>(*reinterpret_cast<T*>(of_blocks + threadIdx.x % CLUSTER * 8), join);
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
