// Fibers, one for each CUDA thread of the blocks that run at once, and the order in which they run.
#pragma once
#include "cuda_on_host.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#if !defined __x86_64__ || defined CUDA_ON_HOST_UCONTEXT
#include <ucontext.h>
#endif

namespace cuda_on_host {
enum class Schedule { forward, reverse, random, unfair };
constexpr unsigned WARP = 32, MOST_THREADS = 1024, MOST_BLOCKS = 16;
// Not a power of two, or the stacks of all fibers would meet in the same lines of the cache.
constexpr size_t STACK = 64 * 1024 + 576;
constexpr size_t LEAD = 4 * 1024 * 1024;
constexpr Word CANARY = 0x5ca1ab1e0ddba11ull;

#if defined __x86_64__ && !defined CUDA_ON_HOST_UCONTEXT
// ucontext would ask the kernel for the signal mask at every switch.
using Context = void*;
extern "C" void cuda_on_host_switch(Context* from, Context to);
asm(R"(
    .text
    .globl cuda_on_host_switch
    .type cuda_on_host_switch, @function
cuda_on_host_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size cuda_on_host_switch, .-cuda_on_host_switch
)");
inline void switch_context(Context* from, Context* to) { cuda_on_host_switch(from, *to); }
inline void prepare(Context* context, unsigned char* stack, void (*entry)()) {
    auto top = reinterpret_cast<Word*>(reinterpret_cast<Word>(stack + STACK) & ~Word(63));
    top[-1] = 0;
    top[-2] = reinterpret_cast<Word>(entry);
    *context = top - 8;
}
#else
using Context = ucontext_t;
inline void switch_context(Context* from, Context* to) { swapcontext(from, to); }
inline void prepare(Context* context, unsigned char* stack, void (*entry)()) {
    getcontext(context);
    context->uc_stack.ss_sp = stack + 64;
    context->uc_stack.ss_size = STACK - 64;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
}
#endif

struct Fiber {
    Context context;
    Wait wait;
    bool reads_cluster;  // has read from another block since the last cluster_sync
    unsigned thread, rank, mask;
    int bytes, width, source;
    Word value;
    const void* mailbox;  // that it waits for
};
struct Block {
    unsigned at_barrier, alive;
    unsigned char* memory;
};
struct Launch {
    const char* kernel;
    void (*entry)(const Word*);
    const Word* arguments;
    unsigned threads, cluster;
    size_t shared_size;
    Schedule schedule;
    char* message;
    size_t message_size;
};

namespace {
Launch launch;
Fiber fibers[MOST_THREADS * MOST_BLOCKS];
Block blocks[MOST_BLOCKS];
unsigned char* stacks;
unsigned count, current, first_block;
Word random_state;
bool failed;
volatile bool inside;  // a fiber runs
Context outside;

const char* name_of(Wait wait) {
    static const char* const names[] = {"running", "__syncthreads", "cluster_sync", "mailbox_wait", "__syncwarp",
        "__shfl_sync", "__shfl_xor_sync", "__shfl_down_sync", "exited"};
    return names[int(wait)];
}

// Fibers that have not ended are left where they are; the next cluster begins with new ones.
[[noreturn]] void leave() {
    Context abandoned;
    inside = false;
    switch_context(&abandoned, &outside);
    __builtin_unreachable();
}

[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* format, ...) {
    const Fiber& fiber = fibers[current];
    int used = snprintf(launch.message, launch.message_size, "kernel %s, block %u, thread %u: ",
        launch.kernel, first_block + fiber.rank, fiber.thread);
    va_list values;
    va_start(values, format);
    vsnprintf(launch.message + used, launch.message_size - used, format, values);
    va_end(values);
    failed = true;
    leave();
}

unsigned random_below(unsigned limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return unsigned((random_state >> 32) * limit >> 32);
}

// The first that can run, from `start` on in a circle of `size` fibers that begins at `begin`.
int ready_from(unsigned begin, unsigned size, unsigned start, bool up) {
    for (unsigned step = 0, at = start; step < size; step++) {
        if (fibers[begin + at].wait == Wait::nowhere) return int(begin + at);
        if (up) at = at + 1 == size ? 0 : at + 1;
        else at = at == 0 ? size - 1 : at - 1;
    }
    return -1;
}

unsigned lanes_of_warp(const Fiber& fiber) {
    unsigned left = launch.threads - fiber.thread / WARP * WARP;
    return left < WARP ? left : WARP;
}

int next_ready() {
    Schedule schedule = launch.schedule;
    if (schedule == Schedule::forward) return ready_from(0, count, (current + 1) % count, true);
    if (schedule == Schedule::reverse) return ready_from(0, count, (current + count - 1) % count, false);
    if (schedule == Schedule::unfair) {
        const Fiber& own = fibers[current];
        unsigned lanes = lanes_of_warp(own);
        int same_warp = ready_from(current - own.thread % WARP, lanes, random_below(lanes), true);
        if (same_warp >= 0) return same_warp;
    }
    return ready_from(0, count, random_below(count), random_below(2));
}

void describe_all(char* text, size_t size) {
    size_t used = 0;
    int parts = 0;
    for (unsigned begin = 0, end; begin < count && used < size; begin = end) {
        const Fiber& first = fibers[begin];
        for (end = begin + 1; end < count; end++) {
            const Fiber& other = fibers[end];
            if (other.rank != first.rank || other.wait != first.wait || other.mask != first.mask) break;
        }
        if (++parts > 16) {
            snprintf(text + used, size - used, "; ...");
            return;
        }
        used += snprintf(text + used, size - used, "%sblock %u threads %u to %u: %s", parts > 1 ? "; " : "",
            first_block + first.rank, first.thread, fibers[end - 1].thread, name_of(first.wait));
        if (!first.mask || used >= size) continue;
        used += snprintf(text + used, size - used, " with mask 0x%08x", first.mask);
    }
}

[[noreturn]] void fail_stuck() {
    static char text[2000];
    Wait worst = Wait::exited;  // a barrier of the block is named before a cluster's, that before a warp's
    for (unsigned i = count; i-- > 0;) {
        if (fibers[i].wait <= worst && fibers[i].wait != Wait::exited) worst = fibers[i].wait, current = i;
    }
    describe_all(text, sizeof text);
    fail("divergent %s, it would wait for ever; %s", name_of(worst), text);
}

// Gives the processor to the next, maybe to the same again.
void yield() {
    Fiber& own = fibers[current];
    int next = next_ready();
    if (next < 0) fail_stuck();
    current = unsigned(next);
    Fiber& fiber = fibers[current];
    if (&fiber == &own) return;
    threadIdx.x = fiber.thread;
    blockIdx.x = first_block + fiber.rank;
    shared_memory = blocks[fiber.rank].memory;
    switch_context(&own.context, &fiber.context);
}

void run_thread() {
    launch.entry(launch.arguments);
    Fiber& own = fibers[current];
    Word canary;
    memcpy(&canary, stacks + current * STACK, sizeof canary);
    if (canary != CANARY) fail("more than %zu bytes of stack", STACK);
    if (own.reads_cluster) fail("cluster_load after the last cluster_sync: the other block may have exited");
    own.wait = Wait::exited;
    own.mask = 0;
    blocks[own.rank].alive--;
    bool all = true;
    for (unsigned rank = 0; rank < launch.cluster; rank++) all = all && !blocks[rank].alive;
    if (all) leave();
    yield();
    __builtin_unreachable();
}

// All threads of a cluster, whose blocks are prepared, to the end.
void run_fibers() {
    count = launch.cluster * launch.threads;
    for (unsigned i = 0; i < count; i++) {
        unsigned thread = i % launch.threads, rank = i / launch.threads;
        Fiber& fiber = fibers[i];
        fiber.wait = Wait::nowhere;
        fiber.reads_cluster = false;
        fiber.thread = thread;
        fiber.rank = rank;
        fiber.mask = 0;
        memcpy(stacks + i * STACK, &CANARY, sizeof CANARY);
        prepare(&fiber.context, stacks + i * STACK, run_thread);
    }
    current = random_below(count);
    if (launch.schedule == Schedule::forward) current = count - 1;
    if (launch.schedule == Schedule::reverse) current = 0;
    current = unsigned(next_ready());
    threadIdx.x = fibers[current].thread;
    blockIdx.x = first_block + fibers[current].rank;
    shared_memory = blocks[fibers[current].rank].memory;
    inside = true;
    switch_context(&outside, &fibers[current].context);
}
}  // namespace
}  // namespace cuda_on_host
