"""Pure signal processing: filters, resampling, sEMG features."""
