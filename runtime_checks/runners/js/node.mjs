// Runs a bundle in Node.

import { createHost } from "./host.mjs";
import { cpuSeconds, serve } from "./stdio.mjs";

await serve(createHost((url) => import(url), cpuSeconds));
