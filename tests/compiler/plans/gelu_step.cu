// The scalars of the call.
extern "C" __global__ void __launch_bounds__(1) begin(double* scalars, const double a7, const double a8, const double a6, const double a9) {
    scalars[0] = a7;
    scalars[1] = a8;
    scalars[2] = a6;
    scalars[3] = a9;
}

// Block loop 0: the rows of n0, each of n4 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_1(
    const long long rows,
    const long long n4,
    float* x1,
    float* b0_3,
    float* b0_15,
    float* b0_16,
    float* b0_17,
    double* scalars) {
    constexpr int GROUP = 32;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 2;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 4;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    const float v8 = (float)(scalars[0]);
    const float v9 = (float)(scalars[1]);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const float* const b0_3_row = b0_3 + i * n4;
        float* const b0_15_row = b0_15 + i * n4;
        float* const b0_16_row = b0_16 + i * n4;
        float* const b0_17_row = b0_17 + i * n4;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n4) {
                float v3_here[VECTOR];
                load<VECTOR>(v3_here, b0_3_row + column0);
                float v4_here[VECTOR];
                load<VECTOR>(v4_here, x1 + column0);
                float v15_out[VECTOR];
                float v16_out[VECTOR];
                float v17_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v3 = v3_here[v];
                    const float v4 = v4_here[v];
                    const float v5 = v3 + v4;
                    const float v10 = v5 * v5;
                    const float v11 = v10 * v5;
                    const float v12 = v9 * v11;
                    const float v13 = v5 + v12;
                    const float v14 = v8 * v13;
                    const float v15 = tanhf(v14);
                    const float v16 = 1.0f + v15;
                    const float v6 = 0.5f * v5;
                    const float v17 = v6 * v16;
                    v15_out[v] = v15;
                    v16_out[v] = v16;
                    v17_out[v] = v17;
                }
                if (active) {
                    store<VECTOR>(b0_15_row + column0, v15_out);
                    store<VECTOR>(b0_16_row + column0, v16_out);
                    store<VECTOR>(b0_17_row + column0, v17_out);
                }
            }
        }
    }
}

// Block loop 0: the rows of n0, each of n7 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_3(
    const long long row0,
    const long long rows,
    const long long first,
    const long long n0,
    const long long n7,
    double* __restrict__ q26,
    float* x3,
    const float* __restrict__ x5,
    float* p57,
    float* b0_19) {
    constexpr int GROUP = 1;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 4;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 128;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    const long long part = (long long)blockIdx.x * ROWS + threadIdx.x / GROUP;
    [[maybe_unused]] int iterations = 0;
    bool is_new = first;  // the group's part
    double s26 = 0.0;
    float s57[ITEMS][VECTOR];
#pragma unroll
    for (int item = 0; item < ITEMS; ++item)
#pragma unroll
        for (int v = 0; v < VECTOR; ++v) s57[item][v] = 0.0f;
    const float v28 = (float)(n0);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        float* const b0_19_row = b0_19 + i * n7;
        const float* const x5_row = x5 + row * n7;
        float v25 = 0.0f;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n7) {
                float v19_here[VECTOR];
                load<VECTOR>(v19_here, b0_19_row + column0);
                float v20_here[VECTOR];
                load<VECTOR>(v20_here, x3 + column0);
                float v22_here[VECTOR];
                load<VECTOR>(v22_here, x5_row + column0);
                float v34_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v19 = v19_here[v];
                    const float v20 = v20_here[v];
                    const float v21 = v19 + v20;
                    const float v22 = v22_here[v];
                    const float v23 = v21 - v22;
                    const float v24 = v23 * v23;
                    v25 = v25 + v24;
                    const float v33 = 2.0f * v23;
                    const float v34 = v33 / v28;
                    if (active) s57[item][v] = s57[item][v] + v34;
                    v34_out[v] = v34;
                }
                if (active) {
                    store<VECTOR>(b0_19_row + column0, v34_out);
                }
            }
        }
        v25 = group.combine(v25, Sum());
        if (active && lane == 0) s26 = s26 + (double)(v25);
        if (++iterations == 64) {
#pragma unroll
            for (int item = 0; item < ITEMS; ++item) {
                const int column0 = (item * LANES + lane) * VECTOR;
                if (column0 < n7)
#pragma unroll
                    for (int v = 0; v < VECTOR; ++v) {
                        p57[part * n7 + column0 + v] = is_new ? s57[item][v] : p57[part * n7 + column0 + v] + s57[item][v];
                        s57[item][v] = 0.0f;
                    }
            }
            iterations = 0;
            is_new = false;
        }
    }
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int column0 = (item * LANES + lane) * VECTOR;
        if (column0 < n7)
#pragma unroll
            for (int v = 0; v < VECTOR; ++v)
                p57[part * n7 + column0 + v] = is_new ? s57[item][v] : p57[part * n7 + column0 + v] + s57[item][v];
    }
    Group<128, 1> block;
    s26 = block.combine(s26, Sum());
    if (threadIdx.x == 0) {
        q26[blockIdx.x] = first ? s26 : q26[blockIdx.x] + s26;
    }
}

// Block loop 0: the rows of n0, each of n4 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_6(
    const long long rows,
    const long long first,
    const long long n4,
    float* x1,
    float* p51,
    float* b0_3,
    float* b0_15,
    float* b0_16,
    float* b0_35,
    double* scalars) {
    constexpr int GROUP = 32;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 2;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 4;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    const long long part = (long long)blockIdx.x * ROWS + threadIdx.x / GROUP;
    [[maybe_unused]] int iterations = 0;
    bool is_new = first;  // the group's part
    float s51[ITEMS][VECTOR];
#pragma unroll
    for (int item = 0; item < ITEMS; ++item)
#pragma unroll
        for (int v = 0; v < VECTOR; ++v) s51[item][v] = 0.0f;
    const float v8 = (float)(scalars[0]);
    const float v41 = (float)(scalars[3]);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        float* const b0_35_row = b0_35 + i * n4;
        const float* const b0_16_row = b0_16 + i * n4;
        const float* const b0_3_row = b0_3 + i * n4;
        const float* const b0_15_row = b0_15 + i * n4;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n4) {
                float v35_here[VECTOR];
                load<VECTOR>(v35_here, b0_35_row + column0);
                float v16_here[VECTOR];
                load<VECTOR>(v16_here, b0_16_row + column0);
                float v3_here[VECTOR];
                load<VECTOR>(v3_here, b0_3_row + column0);
                float v4_here[VECTOR];
                load<VECTOR>(v4_here, x1 + column0);
                float v15_here[VECTOR];
                load<VECTOR>(v15_here, b0_15_row + column0);
                float v47_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v35 = v35_here[v];
                    const float v16 = v16_here[v];
                    const float v36 = 0.5f * v16;
                    const float v3 = v3_here[v];
                    const float v4 = v4_here[v];
                    const float v5 = v3 + v4;
                    const float v6 = 0.5f * v5;
                    const float v15 = v15_here[v];
                    const float v37 = v15 * v15;
                    const float v38 = 1.0f - v37;
                    const float v39 = v6 * v38;
                    const float v40 = v39 * v8;
                    const float v42 = v41 * v5;
                    const float v43 = v42 * v5;
                    const float v44 = 1.0f + v43;
                    const float v45 = v40 * v44;
                    const float v46 = v36 + v45;
                    const float v47 = v35 * v46;
                    if (active) s51[item][v] = s51[item][v] + v47;
                    v47_out[v] = v47;
                }
                if (active) {
                    store<VECTOR>(b0_35_row + column0, v47_out);
                }
            }
        }
        if (++iterations == 64) {
#pragma unroll
            for (int item = 0; item < ITEMS; ++item) {
                const int column0 = (item * LANES + lane) * VECTOR;
                if (column0 < n4)
#pragma unroll
                    for (int v = 0; v < VECTOR; ++v) {
                        p51[part * n4 + column0 + v] = is_new ? s51[item][v] : p51[part * n4 + column0 + v] + s51[item][v];
                        s51[item][v] = 0.0f;
                    }
            }
            iterations = 0;
            is_new = false;
        }
    }
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int column0 = (item * LANES + lane) * VECTOR;
        if (column0 < n4)
#pragma unroll
            for (int v = 0; v < VECTOR; ++v)
                p51[part * n4 + column0 + v] = is_new ? s51[item][v] : p51[part * n4 + column0 + v] + s51[item][v];
    }
}

// The sums of stage 0.
extern "C" __global__ void __launch_bounds__(256) finish0(
    const long long n0,
    const long long n4,
    const long long n7,
    const long long pieces26,
    double* __restrict__ q26,
    const long long pieces51,
    const long long pieces57,
    float* w51,
    float* p51,
    float* w57,
    float* p57,
    float* __restrict__ o0,
    double* scalars) {
    long long block = blockIdx.x;
    if (block < (n4 + 31) / 32) {
        double* const totals = reinterpret_cast<double*>(shared_bytes);
        const long long column = block * 32 + threadIdx.x % 32;
        double total = 0.0;
        if (column < n4)
            for (long long piece = threadIdx.x / 32; piece < pieces51; piece += 8)
                total = total + (double)(p51[piece * n4 + column]);
        totals[threadIdx.x] = total;
        __syncthreads();
        if (threadIdx.x < 32 && column < n4) {
            for (int other = threadIdx.x + 32; other < 256; other += 32)
                total = total + totals[other];
            w51[column] = (float)(total);
        }
        return;
    }
    block -= (n4 + 31) / 32;
    if (block < (n7 + 31) / 32) {
        double* const totals = reinterpret_cast<double*>(shared_bytes);
        const long long column = block * 32 + threadIdx.x % 32;
        double total = 0.0;
        if (column < n7)
            for (long long piece = threadIdx.x / 32; piece < pieces57; piece += 8)
                total = total + (double)(p57[piece * n7 + column]);
        totals[threadIdx.x] = total;
        __syncthreads();
        if (threadIdx.x < 32 && column < n7) {
            for (int other = threadIdx.x + 32; other < 256; other += 32)
                total = total + totals[other];
            w57[column] = (float)(total);
        }
        return;
    }
    block -= (n7 + 31) / 32;
    Group<256, 1> group;
    double s26 = 0.0;
    for (long long piece = threadIdx.x; piece < pieces26; piece += 256)
        s26 = s26 + q26[piece];
    s26 = group.combine(s26, Sum());
    if (threadIdx.x == 0) scalars[4] = (double)((float)(s26));
    if (threadIdx.x == 0) {  // who has put the numbers where they are read
        const float v26 = (float)(scalars[4]);
        const float v28 = (float)(n0);
        const float v29 = v26 / v28;
        *o0 = v29;
    }
}

// Block loop 1: the rows of n2, each of n3 columns.
extern "C" __global__ void __launch_bounds__(128) rows1_0(
    const long long row0,
    const long long rows,
    const long long n3,
    float* x0,
    float* w48,
    double* scalars) {
    constexpr int GROUP = 32;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 2;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 4;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    const double v30 = scalars[2];
    const float v31 = (float)(v30);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        float* const x0_row = x0 + row * n3;
        const float* const w48_row = w48 + row * n3;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n3) {
                float v2_here[VECTOR];
                load<VECTOR>(v2_here, x0_row + column0);
                float v48_here[VECTOR];
                load<VECTOR>(v48_here, w48_row + column0);
                float v50_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v2 = v2_here[v];
                    const float v48 = v48_here[v];
                    const float v49 = v31 * v48;
                    const float v50 = v2 - v49;
                    v50_out[v] = v50;
                }
                if (active) {
                    store<VECTOR>(x0_row + column0, v50_out);
                }
            }
        }
    }
}

// Block loop 3: the rows of n5, each of n6 columns.
extern "C" __global__ void __launch_bounds__(128) rows3_0(
    const long long row0,
    const long long rows,
    const long long n6,
    float* x2,
    float* w54,
    double* scalars) {
    constexpr int GROUP = 1;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 4;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 128;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    const double v30 = scalars[2];
    const float v31 = (float)(v30);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        float* const x2_row = x2 + row * n6;
        const float* const w54_row = w54 + row * n6;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n6) {
                float v18_here[VECTOR];
                load<VECTOR>(v18_here, x2_row + column0);
                float v54_here[VECTOR];
                load<VECTOR>(v54_here, w54_row + column0);
                float v56_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v18 = v18_here[v];
                    const float v54 = v54_here[v];
                    const float v55 = v31 * v54;
                    const float v56 = v18 - v55;
                    v56_out[v] = v56;
                }
                if (active) {
                    store<VECTOR>(x2_row + column0, v56_out);
                }
            }
        }
    }
}

// Stage 1: all of n4, n7.
extern "C" __global__ void __launch_bounds__(256) flat1(
    const long long n4,
    const long long n7,
    const long long parts2,
    const long long parts4,
    float* x1,
    float* x3,
    float* w51,
    float* w57,
    double* scalars) {
    long long block = blockIdx.x;
    if (block < parts2) {
        const long long part = block, parts = parts2;
        const long long rows = n4;
        constexpr long long row0 = 0;
        constexpr int VECTOR = 2;
        constexpr int GROUP = 256;
        const double v30 = scalars[2];
        const float v31 = (float)(v30);
        for (long long i0 = (part * GROUP + threadIdx.x) * VECTOR; i0 < rows;
             i0 += parts * GROUP * VECTOR) {
            float v51_here[VECTOR];
            load<VECTOR>(v51_here, (w51 + row0) + i0);
            float v4_here[VECTOR];
            load<VECTOR>(v4_here, (x1 + row0) + i0);
            float v53_out[VECTOR];
#pragma unroll
            for (int v = 0; v < VECTOR; ++v) {
                const float v51 = v51_here[v];
                const float v52 = v31 * v51;
                const float v4 = v4_here[v];
                const float v53 = v4 - v52;
                v53_out[v] = v53;
            }
            store<VECTOR>((x1 + row0) + i0, v53_out);
        }
        return;
    }
    block -= parts2;
    if (block < parts4) {
        const long long part = block, parts = parts4;
        const long long rows = n7;
        constexpr long long row0 = 0;
        constexpr int VECTOR = 4;
        constexpr int GROUP = 256;
        const double v30 = scalars[2];
        const float v31 = (float)(v30);
        for (long long i0 = (part * GROUP + threadIdx.x) * VECTOR; i0 < rows;
             i0 += parts * GROUP * VECTOR) {
            float v57_here[VECTOR];
            load<VECTOR>(v57_here, (w57 + row0) + i0);
            float v20_here[VECTOR];
            load<VECTOR>(v20_here, (x3 + row0) + i0);
            float v59_out[VECTOR];
#pragma unroll
            for (int v = 0; v < VECTOR; ++v) {
                const float v57 = v57_here[v];
                const float v58 = v31 * v57;
                const float v20 = v20_here[v];
                const float v59 = v20 - v58;
                v59_out[v] = v59;
            }
            store<VECTOR>((x3 + row0) + i0, v59_out);
        }
        return;
    }
}
