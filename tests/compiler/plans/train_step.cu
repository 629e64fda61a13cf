// The scalars of the call.
extern "C" __global__ void __launch_bounds__(1) begin(double* scalars, const double a7, const double a6, const double a8) {
    scalars[0] = a7;
    scalars[1] = a6;
    scalars[2] = a8;
}

// Block loop 0: the rows of n0, each of n5 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_1(
    const long long rows,
    const long long n5,
    float* x1,
    float* b0_15) {
    constexpr int GROUP = 32;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 2;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 4;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        float* const b0_15_row = b0_15 + i * n5;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n5) {
                float v15_here[VECTOR];
                load<VECTOR>(v15_here, b0_15_row + column0);
                float v16_here[VECTOR];
                load<VECTOR>(v16_here, x1 + column0);
                float v19_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v15 = v15_here[v];
                    const float v16 = v16_here[v];
                    const float v17 = v15 + v16;
                    const float v19 = maximum(v17, 0.0f);
                    v19_out[v] = v19;
                }
                if (active) {
                    store<VECTOR>(b0_15_row + column0, v19_out);
                }
            }
        }
    }
}

// Block loop 0: the rows of n0, each of n1 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_3(
    const long long row0,
    const long long rows,
    const long long first,
    const long long n0,
    const long long n1,
    double* __restrict__ q35,
    const long long* __restrict__ x5,
    float* x3,
    float* p77,
    float* b0_21,
    float* b0_58) {
    constexpr int GROUP = 16;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 4;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 8;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    const long long part = (long long)blockIdx.x * ROWS + threadIdx.x / GROUP;
    [[maybe_unused]] int iterations = 0;
    bool is_new = first;  // the group's part
    double s35 = 0.0;
    float s77[ITEMS][VECTOR];
#pragma unroll
    for (int item = 0; item < ITEMS; ++item)
#pragma unroll
        for (int v = 0; v < VECTOR; ++v) s77[item][v] = 0.0f;
    const long long v6 = n1 - 1LL;
    const float v37 = (float)(n0);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        const long long v0 = x5[row];
        const long long v3 = (v0 > 0LL ? v0 : 0LL);
        const long long v8 = (v3 < v6 ? v3 : v6);
        const bool v9 = v0 == v8;
        const float v10 = (float)(v9);
        const float v12 = v9 ? v10 : not_a_number<float>();
        const float v52 = v12 / v37;
        float v21_kept[ITEMS][VECTOR];
        const float* const b0_21_row = b0_21 + i * n1;
        float v22_kept[ITEMS][VECTOR];
        float v24 = -infinity<float>();
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                load<VECTOR>(v21_kept[item], b0_21_row + column0);
                load<VECTOR>(v22_kept[item], x3 + column0);
            }
        }
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v21 = v21_kept[item][v];
                    const float v22 = v22_kept[item][v];
                    const float v23 = v21 + v22;
                    v24 = maximum(v24, v23);
                }
            }
        }
        v24 = group.combine(v24, Maximum());
        float v28 = 0.0f;
        float v27_kept[ITEMS][VECTOR];
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v23_2 = v21_kept[item][v] + v22_kept[item][v];
                    const float v26 = v23_2 - v24;
                    const float v27 = expf(v26);
                    v27_kept[item][v] = v27;
                    v28 = v28 + v27;
                }
            }
        }
        v28 = group.combine(v28, Sum());
        const float v30 = logf(v28);
        const float v21_2 = b0_21[(i) * n1 + v8];
        const float v22_2 = x3[v8];
        const float v23_3 = v21_2 + v22_2;
        const float v26_2 = v23_3 - v24;
        const float v32 = v30 - v26_2;
        const float v33 = v12 * v32;
        if (active && lane == 0) s35 = s35 + (double)(v33);
        const float v53 = v52 / v28;
        const int v8_column = as_column(v8);
        float* const b0_58_row = b0_58 + i * n1;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                const int v8_place = v8_column - column0;
                float v58_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v54 = v27_kept[item][v] * v53;
                    const bool v56 = v == v8_place;
                    const float v57 = v56 ? v52 : 0.0f;
                    const float v58 = v54 - v57;
                    if (active) s77[item][v] = s77[item][v] + v58;
                    v58_out[v] = v58;
                }
                if (active) {
                    store<VECTOR>(b0_58_row + column0, v58_out);
                }
            }
        }
        if (++iterations == 64) {
#pragma unroll
            for (int item = 0; item < ITEMS; ++item) {
                const int column0 = (item * LANES + lane) * VECTOR;
                if (column0 < n1)
#pragma unroll
                    for (int v = 0; v < VECTOR; ++v) {
                        p77[part * n1 + column0 + v] = is_new ? s77[item][v] : p77[part * n1 + column0 + v] + s77[item][v];
                        s77[item][v] = 0.0f;
                    }
            }
            iterations = 0;
            is_new = false;
        }
    }
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int column0 = (item * LANES + lane) * VECTOR;
        if (column0 < n1)
#pragma unroll
            for (int v = 0; v < VECTOR; ++v)
                p77[part * n1 + column0 + v] = is_new ? s77[item][v] : p77[part * n1 + column0 + v] + s77[item][v];
    }
    Group<128, 1> block;
    s35 = block.combine(s35, Sum());
    if (threadIdx.x == 0) {
        q35[blockIdx.x] = first ? s35 : q35[blockIdx.x] + s35;
    }
}

// Block loop 0: the rows of n0, each of n5 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_6(
    const long long rows,
    const long long first,
    const long long n5,
    float* p69,
    float* b0_15,
    float* b0_59) {
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
    float s69[ITEMS][VECTOR];
#pragma unroll
    for (int item = 0; item < ITEMS; ++item)
#pragma unroll
        for (int v = 0; v < VECTOR; ++v) s69[item][v] = 0.0f;
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        float* const b0_59_row = b0_59 + i * n5;
        const float* const b0_15_row = b0_15 + i * n5;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n5) {
                float v59_here[VECTOR];
                load<VECTOR>(v59_here, b0_59_row + column0);
                float v19_here[VECTOR];
                load<VECTOR>(v19_here, b0_15_row + column0);
                float v62_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v59 = v59_here[v];
                    const float v19 = v19_here[v];
                    const bool v60 = v19 > 0.0f;
                    const float v61 = (float)(v60);
                    const float v62 = v59 * v61;
                    if (active) s69[item][v] = s69[item][v] + v62;
                    v62_out[v] = v62;
                }
                if (active) {
                    store<VECTOR>(b0_59_row + column0, v62_out);
                }
            }
        }
        if (++iterations == 64) {
#pragma unroll
            for (int item = 0; item < ITEMS; ++item) {
                const int column0 = (item * LANES + lane) * VECTOR;
                if (column0 < n5)
#pragma unroll
                    for (int v = 0; v < VECTOR; ++v) {
                        p69[part * n5 + column0 + v] = is_new ? s69[item][v] : p69[part * n5 + column0 + v] + s69[item][v];
                        s69[item][v] = 0.0f;
                    }
            }
            iterations = 0;
            is_new = false;
        }
    }
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int column0 = (item * LANES + lane) * VECTOR;
        if (column0 < n5)
#pragma unroll
            for (int v = 0; v < VECTOR; ++v)
                p69[part * n5 + column0 + v] = is_new ? s69[item][v] : p69[part * n5 + column0 + v] + s69[item][v];
    }
}

// The sums of stage 0.
extern "C" __global__ void __launch_bounds__(256) finish0(
    const long long n1,
    const long long n5,
    const long long pieces35,
    double* __restrict__ q35,
    const long long pieces69,
    const long long pieces77,
    float* w69,
    float* p69,
    float* w77,
    float* p77,
    double* scalars) {
    long long block = blockIdx.x;
    if (block < (n5 + 31) / 32) {
        double* const totals = reinterpret_cast<double*>(shared_bytes);
        const long long column = block * 32 + threadIdx.x % 32;
        double total = 0.0;
        if (column < n5)
            for (long long piece = threadIdx.x / 32; piece < pieces69; piece += 8)
                total = total + (double)(p69[piece * n5 + column]);
        totals[threadIdx.x] = total;
        __syncthreads();
        if (threadIdx.x < 32 && column < n5) {
            for (int other = threadIdx.x + 32; other < 256; other += 32)
                total = total + totals[other];
            w69[column] = (float)(total);
        }
        return;
    }
    block -= (n5 + 31) / 32;
    if (block < (n1 + 31) / 32) {
        double* const totals = reinterpret_cast<double*>(shared_bytes);
        const long long column = block * 32 + threadIdx.x % 32;
        double total = 0.0;
        if (column < n1)
            for (long long piece = threadIdx.x / 32; piece < pieces77; piece += 8)
                total = total + (double)(p77[piece * n1 + column]);
        totals[threadIdx.x] = total;
        __syncthreads();
        if (threadIdx.x < 32 && column < n1) {
            for (int other = threadIdx.x + 32; other < 256; other += 32)
                total = total + totals[other];
            w77[column] = (float)(total);
        }
        return;
    }
    block -= (n1 + 31) / 32;
    Group<256, 1> group;
    double s35 = 0.0;
    for (long long piece = threadIdx.x; piece < pieces35; piece += 256)
        s35 = s35 + q35[piece];
    s35 = group.combine(s35, Sum());
    if (threadIdx.x == 0) scalars[3] = (double)((float)(s35));
}

// Block loop 1: the rows of n3, each of n4 columns.
extern "C" __global__ void __launch_bounds__(128) rows1_0(
    const long long row0,
    const long long rows,
    const long long first,
    const long long n4,
    double* __restrict__ q47,
    float* x0,
    float* w63,
    double* scalars) {
    constexpr int GROUP = 32;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 2;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 4;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    double s47 = 0.0;
    const double v50 = scalars[1];
    const float v51 = (float)(v50);
    const float v64 = (float)(scalars[2]);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        float* const x0_row = x0 + row * n4;
        const float* const w63_row = w63 + row * n4;
        float v46 = 0.0f;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n4) {
                float v14_here[VECTOR];
                load<VECTOR>(v14_here, x0_row + column0);
                float v63_here[VECTOR];
                load<VECTOR>(v63_here, w63_row + column0);
                float v68_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v14 = v14_here[v];
                    const float v45 = v14 * v14;
                    v46 = v46 + v45;
                    const float v63 = v63_here[v];
                    const float v65 = v64 * v14;
                    const float v66 = v63 + v65;
                    const float v67 = v51 * v66;
                    const float v68 = v14 - v67;
                    v68_out[v] = v68;
                }
                if (active) {
                    store<VECTOR>(x0_row + column0, v68_out);
                }
            }
        }
        v46 = group.combine(v46, Sum());
        if (active && lane == 0) s47 = s47 + (double)(v46);
    }
    Group<128, 1> block;
    s47 = block.combine(s47, Sum());
    if (threadIdx.x == 0) {
        q47[blockIdx.x] = first ? s47 : q47[blockIdx.x] + s47;
    }
}

// Block loop 3: the rows of n6, each of n1 columns.
extern "C" __global__ void __launch_bounds__(128) rows3_0(
    const long long row0,
    const long long rows,
    const long long first,
    const long long n1,
    double* __restrict__ q42,
    float* x2,
    float* w72,
    double* scalars) {
    constexpr int GROUP = 16;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 4;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 8;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    double s42 = 0.0;
    const double v50 = scalars[1];
    const float v51 = (float)(v50);
    const float v64 = (float)(scalars[2]);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        float* const x2_row = x2 + row * n1;
        const float* const w72_row = w72 + row * n1;
        float v41 = 0.0f;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                float v20_here[VECTOR];
                load<VECTOR>(v20_here, x2_row + column0);
                float v72_here[VECTOR];
                load<VECTOR>(v72_here, w72_row + column0);
                float v76_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v20 = v20_here[v];
                    const float v40 = v20 * v20;
                    v41 = v41 + v40;
                    const float v72 = v72_here[v];
                    const float v73 = v64 * v20;
                    const float v74 = v72 + v73;
                    const float v75 = v51 * v74;
                    const float v76 = v20 - v75;
                    v76_out[v] = v76;
                }
                if (active) {
                    store<VECTOR>(x2_row + column0, v76_out);
                }
            }
        }
        v41 = group.combine(v41, Sum());
        if (active && lane == 0) s42 = s42 + (double)(v41);
    }
    Group<128, 1> block;
    s42 = block.combine(s42, Sum());
    if (threadIdx.x == 0) {
        q42[blockIdx.x] = first ? s42 : q42[blockIdx.x] + s42;
    }
}

// Stage 1: all of n5, n1.
extern "C" __global__ void __launch_bounds__(256) flat1(
    const long long n1,
    const long long n5,
    const long long parts2,
    const long long parts4,
    float* x1,
    float* x3,
    float* w69,
    float* w77,
    double* scalars) {
    long long block = blockIdx.x;
    if (block < parts2) {
        const long long part = block, parts = parts2;
        const long long rows = n5;
        constexpr long long row0 = 0;
        constexpr int VECTOR = 2;
        constexpr int GROUP = 256;
        const double v50 = scalars[1];
        const float v51 = (float)(v50);
        for (long long i0 = (part * GROUP + threadIdx.x) * VECTOR; i0 < rows;
             i0 += parts * GROUP * VECTOR) {
            float v69_here[VECTOR];
            load<VECTOR>(v69_here, (w69 + row0) + i0);
            float v16_here[VECTOR];
            load<VECTOR>(v16_here, (x1 + row0) + i0);
            float v71_out[VECTOR];
#pragma unroll
            for (int v = 0; v < VECTOR; ++v) {
                const float v69 = v69_here[v];
                const float v70 = v51 * v69;
                const float v16 = v16_here[v];
                const float v71 = v16 - v70;
                v71_out[v] = v71;
            }
            store<VECTOR>((x1 + row0) + i0, v71_out);
        }
        return;
    }
    block -= parts2;
    if (block < parts4) {
        const long long part = block, parts = parts4;
        const long long rows = n1;
        constexpr long long row0 = 0;
        constexpr int VECTOR = 4;
        constexpr int GROUP = 256;
        const double v50 = scalars[1];
        const float v51 = (float)(v50);
        for (long long i0 = (part * GROUP + threadIdx.x) * VECTOR; i0 < rows;
             i0 += parts * GROUP * VECTOR) {
            float v77_here[VECTOR];
            load<VECTOR>(v77_here, (w77 + row0) + i0);
            float v22_here[VECTOR];
            load<VECTOR>(v22_here, (x3 + row0) + i0);
            float v79_out[VECTOR];
#pragma unroll
            for (int v = 0; v < VECTOR; ++v) {
                const float v77 = v77_here[v];
                const float v78 = v51 * v77;
                const float v22 = v22_here[v];
                const float v79 = v22 - v78;
                v79_out[v] = v79;
            }
            store<VECTOR>((x3 + row0) + i0, v79_out);
        }
        return;
    }
}

// The sums of stage 1.
extern "C" __global__ void __launch_bounds__(256) finish1(
    const long long n0,
    const long long pieces47,
    double* __restrict__ q47,
    const long long pieces42,
    double* __restrict__ q42,
    float* __restrict__ o0,
    double* scalars) {
    Group<256, 1> group;
    double s47 = 0.0;
    for (long long piece = threadIdx.x; piece < pieces47; piece += 256)
        s47 = s47 + q47[piece];
    s47 = group.combine(s47, Sum());
    if (threadIdx.x == 0) scalars[4] = (double)((float)(s47));
    double s42 = 0.0;
    for (long long piece = threadIdx.x; piece < pieces42; piece += 256)
        s42 = s42 + q42[piece];
    s42 = group.combine(s42, Sum());
    if (threadIdx.x == 0) scalars[5] = (double)((float)(s42));
    if (threadIdx.x == 0) {  // who has put the numbers where they are read
        const float v35 = (float)(scalars[3]);
        const float v37 = (float)(n0);
        const float v38 = v35 / v37;
        const float v39 = (float)(scalars[0]);
        const float v42 = (float)(scalars[5]);
        const float v43 = v39 * v42;
        const float v44 = v38 + v43;
        const float v47 = (float)(scalars[4]);
        const float v48 = v39 * v47;
        const float v49 = v44 + v48;
        *o0 = v49;
    }
}
