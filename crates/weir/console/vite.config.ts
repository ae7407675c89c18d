import preact from '@preact/preset-vite';
import { defineConfig } from 'vite';

// Names without hashes of the content: the gateway sends an ETag, and the built files change less in the repository.
export default defineConfig({
  base: '/ui/',
  plugins: [preact()],
  build: {
    outDir: 'dist',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: { entryFileNames: 'assets/console.js', chunkFileNames: 'assets/[name].js', assetFileNames: 'assets/console[extname]' },
    },
  },
  server: { proxy: { '/admin': 'http://127.0.0.1:4000', '/v1': 'http://127.0.0.1:4000', '/metrics': 'http://127.0.0.1:4000', '/health': 'http://127.0.0.1:4000' } },
});
