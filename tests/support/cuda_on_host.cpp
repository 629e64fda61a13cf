// Barriers, shuffles and clusters of CUDA kernels on the host; launches, which run clusters in sequence.
#include "cuda_on_host_fibers.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace cuda_on_host {
Index threadIdx, blockIdx, blockDim, gridDim;
unsigned char* shared_memory;

namespace {
constexpr size_t SHARED_GUARD = 1024, MOST_SHARED = 227 * 1024;
// A NaN as a float or double, signalling where it can be: arithmetic changes it. Fresh memory is 0xff.
constexpr unsigned char GUARD[8] = {0x81, 0xff, 0x81, 0xff, 0xf1, 0xff, 0xf1, 0xff};
unsigned char* memories;
unsigned at_cluster_barrier;
bool cluster_began;  // all blocks of the cluster have been at a cluster_sync
pthread_t launcher;

void fill_guard(unsigned char* guard) {
    for (size_t i = 0; i < SHARED_GUARD; i++) guard[i] = GUARD[i % 8];
}

void check_guard(const unsigned char* guard, unsigned rank, bool past) {
    for (size_t i = 0; i < SHARED_GUARD && !failed; i++) {
        if (guard[i] == GUARD[i % 8]) continue;
        long long at = i + (past ? launch.shared_size : -SHARED_GUARD);
        snprintf(launch.message, launch.message_size,
            "kernel %s, block %u: wrote byte %lld of its %zu of shared memory", launch.kernel,
            first_block + rank, at, launch.shared_size);
        failed = true;
    }
}

void run_cluster() {
    at_cluster_barrier = 0;
    cluster_began = false;
    // 16 bytes off a multiple of 32: aligned as a device promises, and no better.
    size_t stride = (2 * SHARED_GUARD + launch.shared_size + 63) / 32 * 32;
    for (unsigned rank = 0; rank < launch.cluster; rank++) {
        unsigned char* memory = memories + 16 + rank * stride + SHARED_GUARD;
        blocks[rank] = Block{0, launch.threads, memory};
        fill_guard(memory - SHARED_GUARD);
        memset(memory, 0xff, launch.shared_size);
        fill_guard(memory + launch.shared_size);
    }
    run_fibers();
    for (unsigned rank = 0; rank < launch.cluster; rank++) {
        check_guard(blocks[rank].memory - SHARED_GUARD, rank, false);
        check_guard(blocks[rank].memory + launch.shared_size, rank, true);
    }
}

unsigned char* map(size_t bytes) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (address == MAP_FAILED) return nullptr;
    madvise(address, bytes, MADV_NOHUGEPAGE);  // a fiber touches a page or two of its stack
    return static_cast<unsigned char*>(address);
}

const char* refusal(unsigned grid) {
    if (!launch.threads || launch.threads > MOST_THREADS) return "1 to 1024 threads a block";
    if (!launch.cluster || launch.cluster > MOST_BLOCKS) return "1 to 16 blocks a cluster";
    if (!grid || grid % launch.cluster) return "a grid above 0 that is a multiple of the cluster";
    if (launch.shared_size > MOST_SHARED) return "at most 232448 bytes of shared memory";
    // The first thread's stack has room below it too: what overflows there must not land in foreign memory.
    if (!stacks)
        if (auto begin = map(LEAD + STACK * MOST_THREADS * MOST_BLOCKS)) stacks = begin + LEAD;
    if (!memories) memories = map((MOST_SHARED + 4 * SHARED_GUARD) * MOST_BLOCKS);
    return stacks && memories ? nullptr : "more memory for stacks";
}

// Turns a fault of a kernel, or a kernel without end, into an error while it lives.
class Watch {
    static constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGXCPU};
    struct sigaction before[5];
    timer_t timer;

    static void on_signal(int number, siginfo_t* information, void*) {
        if (number == SIGXCPU && !inside) return;  // the timer comes again
        if (!pthread_equal(pthread_self(), launcher) || !inside) {
            signal(number, SIG_DFL);  // not a kernel's: back to the instruction, to fault without a handler
            return;
        }
        if (number == SIGXCPU) fail("out of time");
        fail("%s at address %p", strsignal(number), information->si_addr);
    }

public:
    explicit Watch(int seconds) {
        struct sigaction handler = {};
        handler.sa_sigaction = on_signal;
        handler.sa_flags = SA_SIGINFO | SA_NODEFER;
        for (int i = 0; i < 5; i++) sigaction(SIGNALS[i], &handler, &before[i]);
        sigevent event = {};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = SIGXCPU;
        event._sigev_un._tid = pid_t(syscall(SYS_gettid));
        timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer);
        itimerspec limit = {{1, 0}, {seconds, 0}};
        timer_settime(timer, 0, &limit, nullptr);
    }
    ~Watch() {
        timer_delete(timer);
        for (int i = 0; i < 5; i++) sigaction(SIGNALS[i], &before[i], nullptr);
    }
};
}  // namespace

void block_barrier() {
    Fiber& own = fibers[current];
    Block& block = blocks[own.rank];
    own.wait = Wait::syncthreads;
    own.mask = 0;
    if (++block.at_barrier == launch.threads) {
        block.at_barrier = 0;
        Fiber* first = &own - own.thread;
        for (unsigned i = 0; i < launch.threads; i++) first[i].wait = Wait::nowhere;
    }
    yield();
}

void cluster_barrier() {
    Fiber& own = fibers[current];
    own.wait = Wait::cluster_sync;
    own.mask = 0;
    own.reads_cluster = false;
    if (++at_cluster_barrier == count) {
        at_cluster_barrier = 0;
        cluster_began = true;
        for (unsigned i = 0; i < count; i++) fibers[i].wait = Wait::nowhere;
    }
    yield();
}

Word exchange(Wait kind, unsigned mask, Word value, int bytes, int source, int width) {
    Fiber& own = fibers[current];
    const char* name = name_of(kind);
    unsigned lane = own.thread % WARP;
    unsigned absent = mask & ~(~0u >> (WARP - lanes_of_warp(own)));
    if (!(mask >> lane & 1)) fail("%s with mask 0x%08x, which lacks its own lane %u", name, mask, lane);
    if (absent) fail("%s with mask 0x%08x, which names absent lanes 0x%08x", name, mask, absent);
    if (width < 1 || width > 32 || (width & (width - 1))) fail("%s with width %d", name, width);

    int segment = int(lane) & ~(width - 1), last = segment + width - 1, from = int(lane);
    if (kind == Wait::shfl) from = segment + (source & (width - 1));
    if (kind == Wait::shfl_xor) from = int(lane) ^ source;
    if (kind == Wait::shfl_down) from = int(lane) + source;
    if (from > last) from = int(lane);
    if (from < 0 || !(mask >> from & 1)) {
        fail("%s with mask 0x%08x reads from lane %d, which it does not name", name, mask, from);
    }
    own.wait = kind;
    own.mask = mask;
    own.value = value;
    own.bytes = bytes;
    own.width = width;
    own.source = from;

    Fiber* lanes = &own - lane;
    bool complete = true;
    for (unsigned i = 0; complete && i < WARP; i++) {
        const Fiber& other = lanes[i];
        if (!(mask >> i & 1)) continue;
        complete = other.wait == kind && other.mask == mask && other.bytes == bytes && other.width == width;
    }
    if (complete) {
        // All at once, before any lane goes on and calls again.
        Word values[WARP];
        for (unsigned i = 0; i < WARP; i++) {
            if (mask >> i & 1) values[i] = lanes[lanes[i].source].value;
        }
        for (unsigned i = 0; i < WARP; i++) {
            if (mask >> i & 1) lanes[i].value = values[i], lanes[i].wait = Wait::nowhere;
        }
    }
    yield();
    return own.value;
}

// As a device's mbarrier: a phase ends when its arrival has come and all bytes it expects have.
struct Mailbox {
    int bytes;
    short arrivals, phase;
};

Mailbox* mailbox_at(void* address) {
    auto mailbox = static_cast<Mailbox*>(address);
    aligned(address, sizeof(Mailbox));
    if (mailbox->arrivals < 0 || mailbox->arrivals > 1) fail("a mailbox that has not been opened");
    return mailbox;
}

void end_phase(Mailbox* mailbox) {
    if (mailbox->arrivals || mailbox->bytes) return;
    mailbox->arrivals = 1;
    mailbox->phase ^= 1;
    for (unsigned i = 0; i < count; i++) {
        if (fibers[i].wait == Wait::mailbox && fibers[i].mailbox == mailbox) fibers[i].wait = Wait::nowhere;
    }
}

void open_mailbox(void* address) { *static_cast<Mailbox*>(address) = Mailbox{0, 1, 0}; }

void expect(void* address, int bytes) {
    Mailbox* mailbox = mailbox_at(address);
    if (!mailbox->arrivals) fail("mailbox_expect twice in one phase");
    mailbox->bytes += bytes;
    mailbox->arrivals = 0;
    end_phase(mailbox);
}

void send(void* own_slot, Word value, void* own_mailbox, unsigned rank) {
    const bool read_before = fibers[current].reads_cluster;
    auto slot = const_cast<void*>(in_cluster(own_slot, sizeof value, rank));
    auto mailbox = mailbox_at(const_cast<void*>(in_cluster(own_mailbox, sizeof(Mailbox), rank)));
    fibers[current].reads_cluster = read_before;
    memcpy(slot, &value, sizeof value);
    mailbox->bytes -= int(sizeof value);
    end_phase(mailbox);
}

void wait_for(void* address, unsigned parity) {
    Mailbox* mailbox = mailbox_at(address);
    Fiber& own = fibers[current];
    if (unsigned(mailbox->phase) != parity) return;
    own.wait = Wait::mailbox;
    own.mask = 0;
    own.mailbox = mailbox;
    yield();
}

const void* in_cluster(const void* own_shared_address, int bytes, unsigned rank) {
    Fiber& own = fibers[current];
    auto address = static_cast<const unsigned char*>(own_shared_address);
    if (rank >= launch.cluster) fail("cluster_load from block %u of a cluster of %u", rank, launch.cluster);
    if (address < shared_memory || address + bytes > shared_memory + launch.shared_size) {
        fail("cluster_load at byte %td of %zu of shared memory", address - shared_memory, launch.shared_size);
    }
    if (!blocks[rank].alive) fail("cluster_load from block %u of the cluster, which has exited", rank);
    if (rank != own.rank && !cluster_began) {
        fail("cluster_load before the first cluster_sync: the other block may not have begun");
    }
    own.reads_cluster = own.reads_cluster || rank != own.rank;
    return blocks[rank].memory + (address - shared_memory);
}

unsigned rank_in_cluster() { return fibers[current].rank; }
unsigned blocks_in_cluster() { return launch.cluster; }

void aligned(const void* address, int bytes) {
    if (reinterpret_cast<Word>(address) % bytes) fail("%p is not a multiple of %d bytes", address, bytes);
}

extern "C" int cuda_on_host_launch(const char* kernel, void (*entry)(const Word*), const Word* arguments,
        unsigned grid, unsigned threads, size_t shared, unsigned cluster, int schedule, Word seed,
        int seconds, char* message, size_t message_size) {
    launch = {kernel, entry, arguments, threads, cluster, shared, Schedule(schedule), message, message_size};
    if (const char* expected = refusal(grid)) {
        snprintf(message, message_size, "kernel %s: a launch takes %s", kernel, expected);
        return 1;
    }
    failed = false;
    launcher = pthread_self();
    random_state = (seed + 1) * 0x9e3779b97f4a7c15ull | 1;
    blockDim = Index{threads, 1, 1};
    gridDim = Index{grid, 1, 1};
    threadIdx = blockIdx = Index{0, 0, 0};
    Watch watch(seconds);
    for (first_block = 0; first_block < grid && !failed; first_block += cluster) run_cluster();
    return failed;
}
}  // namespace cuda_on_host
