// Block loop 0: the rows of n0, each of n1 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_0(
    const long long row0,
    const long long rows,
    const long long n1,
    const float* __restrict__ x0,
    float* __restrict__ r0) {
    constexpr int GROUP = 16;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 4;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 8;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        float v0_kept[ITEMS][VECTOR];
        const float* const x0_row = x0 + row * n1;
        float v1 = -infinity<float>();
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                load<VECTOR>(v0_kept[item], x0_row + column0);
            }
        }
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v0 = v0_kept[item][v];
                    v1 = maximum(v1, v0);
                }
            }
        }
        v1 = group.combine(v1, Maximum());
        float v5 = 0.0f;
        float v4_kept[ITEMS][VECTOR];
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v3 = v0_kept[item][v] - v1;
                    const float v4 = expf(v3);
                    v4_kept[item][v] = v4;
                    v5 = v5 + v4;
                }
            }
        }
        v5 = group.combine(v5, Sum());
        float* const r0_row = r0 + row * n1;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                float v7_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v7 = v4_kept[item][v] / v5;
                    v7_out[v] = v7;
                }
                if (active) {
                    store<VECTOR>(r0_row + column0, v7_out);
                }
            }
        }
    }
}
