// The published shape: Express, axios, static files. node express_peer.js PORT FOLDER
const express = require('express');
const axios = require('axios');

const app = express();
app.use(express.static(process.argv[3]));

app.get('/token', async (request, response) => {
  try {
    const answer = await axios.get(`${process.env.ASSEMBLYAI_BASE_URL}/v3/token`, {
      params: { expires_in_seconds: 60 },
      headers: { Authorization: process.env.ASSEMBLYAI_API_KEY },
    });
    response.json({ token: answer.data.token, expires_in_seconds: 60 });
  } catch (error) {
    response.status(500).json({ error: 'Failed to generate token' });
  }
});

app.listen(Number(process.argv[2]), '127.0.0.1');
