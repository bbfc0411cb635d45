// SPDX-License-Identifier: Apache-2.0
// In the place of Chart.js when oomlab was built without it.
globalThis.noChartLibrary = "oomlab was built without Chart.js (Debian package libjs-chart.js), so there are tables only.";
