// Block loop 0: the rows of n0, each of n1 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_1(
    const long long row0,
    const long long rows,
    const long long first,
    const long long n0,
    const long long n1,
    double* __restrict__ q27,
    const long long* __restrict__ x2,
    float* b0_15,
    float* b0_38) {
    constexpr int GROUP = 16;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 4;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 8;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    double s27 = 0.0;
    const long long v6 = n1 - 1LL;
    const float v29 = (float)(n0);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        const long long v0 = x2[row];
        const long long v3 = (v0 > 0LL ? v0 : 0LL);
        const long long v8 = (v3 < v6 ? v3 : v6);
        const bool v9 = v0 == v8;
        const float v10 = (float)(v9);
        const float v12 = v9 ? v10 : not_a_number<float>();
        const float v31 = v12 / v29;
        float v15_kept[ITEMS][VECTOR];
        const float* const b0_15_row = b0_15 + i * n1;
        float v16 = -infinity<float>();
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                load<VECTOR>(v15_kept[item], b0_15_row + column0);
            }
        }
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v15 = v15_kept[item][v];
                    v16 = maximum(v16, v15);
                }
            }
        }
        v16 = group.combine(v16, Maximum());
        float v20 = 0.0f;
        float v19_kept[ITEMS][VECTOR];
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v18 = v15_kept[item][v] - v16;
                    const float v19 = expf(v18);
                    v19_kept[item][v] = v19;
                    v20 = v20 + v19;
                }
            }
        }
        v20 = group.combine(v20, Sum());
        const float v22 = logf(v20);
        const float v15_2 = b0_15[(i) * n1 + v8];
        const float v18_2 = v15_2 - v16;
        const float v24 = v22 - v18_2;
        const float v25 = v12 * v24;
        if (active && lane == 0) s27 = s27 + (double)(v25);
        const float v32 = v31 / v20;
        const int v8_column = as_column(v8);
        float* const b0_38_row = b0_38 + i * n1;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                const int v8_place = v8_column - column0;
                float v38_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v33 = v19_kept[item][v] * v32;
                    const bool v35 = v == v8_place;
                    const float v37 = v35 ? v31 : 0.0f;
                    const float v38 = v33 - v37;
                    v38_out[v] = v38;
                }
                if (active) {
                    store<VECTOR>(b0_38_row + column0, v38_out);
                }
            }
        }
    }
    Group<128, 1> block;
    s27 = block.combine(s27, Sum());
    if (threadIdx.x == 0) {
        q27[blockIdx.x] = first ? s27 : q27[blockIdx.x] + s27;
    }
}

// The sums of stage 0.
extern "C" __global__ void __launch_bounds__(256) finish0(
    const long long n0,
    const long long pieces27,
    double* __restrict__ q27,
    float* __restrict__ o0,
    double* scalars) {
    Group<256, 1> group;
    double s27 = 0.0;
    for (long long piece = threadIdx.x; piece < pieces27; piece += 256)
        s27 = s27 + q27[piece];
    s27 = group.combine(s27, Sum());
    if (threadIdx.x == 0) scalars[0] = (double)((float)(s27));
    if (threadIdx.x == 0) {  // who has put the numbers where they are read
        const float v27 = (float)(scalars[0]);
        const float v29 = (float)(n0);
        const float v30 = v27 / v29;
        *o0 = v30;
    }
}
